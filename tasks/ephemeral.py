"""Ephemeral tasks: no row, no result, newest wins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery import Task
from celery.exceptions import Ignore

from appliance.jobs import queue_of
from appliance.storage import queues
from tasks.box import box

if TYPE_CHECKING:
    BaseTask = Task[..., Any]
else:
    BaseTask = Task


class Ephemeral(BaseTask):
    """The base of ephemeral tasks. What is sent to a paused queue is dropped: the next one says more."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self.request.is_eager and queues.is_paused(box().db, queue_of(self.name)):
            raise Ignore
        return self.run(*args, **kwargs)
