"""The broker as the operators' guide expects it: kombu's Redis transport with two differences.

A queue of the box always exists, so that the length of an empty one is 0 and not an error. And purging a queue
discards the rows of its jobs as well, whatever asked for it (`celery purge`, `celery amqp queue.purge`,
`app.control.purge()`, Flower): the sweeper would send them again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery.app.amqp import AMQP
from kombu import Connection
from kombu.connection import ConnectionPool, PooledConnection
from kombu.transport import redis

from appliance.jobs import QUEUES

if TYPE_CHECKING:
    BaseChannel = Any
    BaseTransport = Any
else:
    BaseChannel = redis.Channel
    BaseTransport = redis.Transport


class Channel(BaseChannel):
    """A channel on the box's Redis."""

    def _has_queue(self, queue: str, **kwargs: Any) -> bool:
        return queue in QUEUES or bool(super()._has_queue(queue, **kwargs))

    def queue_purge(self, queue: str, **kwargs: Any) -> int:
        """Returns how many tasks were removed: messages or rows, whichever are more, since most are both. The rows go
        first: a message without a row does no harm."""
        from tasks.discarding import discard_queue, operator  # here: most processes never purge

        discarded = discard_queue(queue, operator()) if queue in QUEUES else 0
        return max(discarded, int(super().queue_purge(queue, **kwargs)))


class Transport(BaseTransport):
    Channel = Channel


class _BoxTransport(Connection):
    """kombu takes the transport from the URL's scheme; where that is Redis, this puts the box's own in its place."""

    def get_transport_cls(self) -> Any:
        found: Any = super().get_transport_cls()
        return Transport if found is redis.Transport else found


class _Pooled(_BoxTransport, PooledConnection):
    pass


class _Pool(ConnectionPool):
    def new(self) -> Connection:
        return _Pooled(self, **dict(self.connection._info(resolve=False)))  # type: ignore[arg-type]


class BoxConnection(_BoxTransport):
    def Pool(self, limit: int | None = None, **options: Any) -> ConnectionPool:  # noqa: N802  kombu's own name
        return _Pool(self, limit, **options)


class BoxAmqp(AMQP):
    Connection = BoxConnection
