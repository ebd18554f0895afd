"""Celery's bookkeeping of one message, with one difference: what was not handled is never acknowledged."""

from celery.worker.request import Request
from celery.worker.state import revoked


class EventRequest(Request):
    """Stock Celery acknowledges a revoked, expired or terminated request, and the event would be gone.

    Here it is rejected, so it is dead-lettered and an operator may replay it. The revocation is forgotten with that.
    """

    def _announce_revoked(self, reason: str, terminated: bool, signum: object, expired: bool) -> None:
        self.reject(requeue=False)
        # The stock method acknowledges only what is still open, so what remains of it is the announcement.
        super()._announce_revoked(reason, terminated, signum, expired)
        revoked.discard(self.id)
