"""Ephemeral tasks: no row, no result, newest wins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery import Task
from celery.exceptions import Ignore

from appliance import log
from appliance.errors import Permanent
from appliance.jobs import queue_of
from appliance.storage import queues
from tasks.box import box

if TYPE_CHECKING:
    BaseTask = Task[..., Any]
else:
    BaseTask = Task

_log = log.get(__name__)


class Ephemeral(BaseTask):
    """The base of ephemeral tasks. What is sent to a paused queue is dropped: the next one says more."""

    abstract = True
    throws = (Permanent,)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self.request.is_eager and queues.is_paused(box().db, queue_of(self.name)):
            raise Ignore
        try:
            return self.run(*args, **kwargs)
        except Exception as error:
            if self.request.is_eager or self.request.called_directly:
                raise
            # As with jobs, nobody but this line learns more than the kind of the error.
            kind = type(error).__name__
            _log.error("broadcast.failed", task=self.name, error_type=kind, where=log.frames(error.__traceback__))
            raise Permanent(kind, subject=self.name) from None
