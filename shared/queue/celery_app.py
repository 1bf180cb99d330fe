"""Wake-ups through Celery: a message says that something is ready in its queue, never what."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import lru_cache

from celery import Celery
from kombu.exceptions import KombuError, OperationalError
from redis.exceptions import RedisError

from shared.core.errors import StorageError

log = logging.getLogger(__name__)

WORK = "counterdub.work"

AWAY = (KombuError, OperationalError, RedisError, OSError)


@lru_cache
def create_celery(broker_url: str) -> Celery:
    """The Celery application.

    Messages are acknowledged when they arrive: a wake-up that is lost with its worker is sent again by the watch, so
    neither visibility timeouts nor result backends are needed.
    """
    app = Celery("counterdub", broker=broker_url, set_as_current=False)
    app.conf.update(
        task_ignore_result=True,
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={"socket_connect_timeout": 5, "max_retries": 1, "interval_start": 0},
        worker_cancel_long_running_tasks_on_connection_loss=False,
        task_default_queue="fetch",
    )
    return app


class Waker:
    """Sends wake-ups; a broker that is away is no error, since the watch tops up."""

    def __init__(self, broker_url: str) -> None:
        self.app = create_celery(broker_url)

    def wake(self, wakes: Mapping[str, int]) -> None:
        if not any(wakes.values()):
            return
        try:
            with self.app.producer_pool.acquire(block=True, timeout=10) as producer:
                for queue, count in wakes.items():
                    for _ in range(count):
                        self.app.send_task(WORK, queue=queue, producer=producer, retry=False, ignore_result=True)
        except AWAY as error:
            log.warning("the broker does not answer (%s); wake-ups are sent later", type(error).__name__)

    def queued(self, queue: str) -> int:
        """Messages that wait in a queue.

        Raises:
            StorageError: ``broker_away`` (retryable).
        """
        try:
            with self.app.pool.acquire(block=True, timeout=10) as connection:
                return int(connection.default_channel.client.llen(queue))
        except AWAY as error:
            raise StorageError("The broker does not answer.", code="broker_away", retryable=True) from error


def wake(broker_url: str, wakes: Mapping[str, int]) -> None:
    """Wake the workers of these queues."""
    Waker(broker_url).wake(wakes)
