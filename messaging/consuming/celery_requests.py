"""Celery's bookkeeping of messages, with one difference: what was not handled is never acknowledged."""

from typing import Any

from celery.exceptions import Reject, Terminated
from celery.worker.request import Request
from celery.worker.state import revoked, task_ready

from messaging.consuming.dispatcher import Batch


class EventRequest(Request):
    """Stock Celery acknowledges a revoked, expired or terminated request, and the event would be gone.

    Here it is rejected, so it is dead-lettered and an operator may replay it. The revocation is forgotten with that.
    """

    def _announce_revoked(self, reason: str, terminated: bool, signum: object, expired: bool) -> None:
        self.reject(requeue=False)
        # The stock method acknowledges only what is still open, so what remains of it is the announcement.
        super()._announce_revoked(reason, terminated, signum, expired)
        revoked.discard(self.id)


class BatchRequest(EventRequest):
    """A request for all messages of a batch; each of them is settled by itself."""

    _nobodys_fault = False

    def __init__(self, batch: Batch, **options: Any) -> None:
        self._batch = batch
        super().__init__(batch, on_ack=self._ack_all, on_reject=self._reject_all, **options)

    def on_success(self, failed__retval__runtime: tuple[int, Any, float], **kwargs: Any) -> None:
        failed, result, runtime = failed__retval__runtime
        if failed:
            super().on_success(failed__retval__runtime, **kwargs)
            return
        task_ready(self, successful=True)
        self._batch.settle(int(result.strip("'"), 16))
        self.acknowledged = True
        self.send_event("task-succeeded", result=result, runtime=runtime)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        """Nothing is known of single messages: they come back and are tried alone, unless somebody decided else."""
        problem = getattr(exc_info.exception, "exc", exc_info.exception)
        self._nobodys_fault = not isinstance(problem, Reject | Terminated)
        super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    def reject(self, requeue: bool = False) -> None:
        super().reject(requeue=requeue or self._nobodys_fault)

    def _ack_all(self, *_: object) -> None:
        self._batch.settle(0)

    def _reject_all(self, logger: object, errors: object, requeue: bool) -> None:
        self._batch.reject(requeue=requeue)
