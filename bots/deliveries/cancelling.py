"""Cancels many deliveries for an operator: in slices, which resume after a crash, and each delivery by itself.

A mass cancellation stores the ids of the deliveries that matched when the operator started it. Cancelling a cancelled
delivery changes nothing, so two processes may run the same slice; the position advances by a conditional UPDATE.
"""

import logging
from datetime import datetime
from uuid import UUID

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Count, F, QuerySet

from bots.deliveries.queueing import delivery_cancel
from bots.models import Delivery, MassCancellation
from messaging.database.clock import database_clock
from messaging.publishing.celery_tasks import send_on_commit
from messaging.rounds import for_each
from panelkit import audit

TASK = "bots.tasks.advance_cancellations"
# The most deliveries of one mass cancellation. Operators who select more have to narrow their selection.
MOST = 100_000
# The number of deliveries after which the position is stored, and the most that one run of the task cancels.
SLICE, PER_RUN = 100, 1000

State = MassCancellation.State

log = logging.getLogger(__name__)


class CancellationRefused(Exception):
    """The mass cancellation cannot be started or stopped. The text is the reason."""


def matching(*, deliveries: QuerySet[Delivery], until: datetime) -> dict[str, int]:
    """The numbers of deliveries by state, of those created until `until`."""
    counted = deliveries.filter(created_at__lte=until).order_by().values_list("state").annotate(n=Count("pk"))
    return dict(counted)


@transaction.atomic
def cancellation_start(
    *, deliveries: QuerySet[Delivery], until: datetime, by: str, what: str, user_id: int | None = None
) -> MassCancellation:
    """Start to cancel the deliveries that are queued now and were created until `until`.

    `what` describes the selection. Returns at once; `cancellations_advance` does the work. Raises CancellationRefused
    if no delivery is queued, or more than MOST.
    """
    queued = deliveries.filter(state=Delivery.State.QUEUED, created_at__lte=until).order_by("due_at", "pk")
    ids = list(queued.values_list("pk", flat=True)[: MOST + 1])
    if not ids:
        raise CancellationRefused("none of these deliveries is queued")
    if len(ids) > MOST:
        raise CancellationRefused(f"a cancellation can have {MOST} deliveries at most: select fewer")
    cancellation = MassCancellation.objects.create(
        by=by[:150], user_id=user_id, what=what, delivery_ids=ids, total=len(ids)
    )
    send_on_commit(TASK)
    return cancellation


@transaction.atomic
def cancellation_stop(*, cancellation_id: UUID) -> None:
    """Stop a mass cancellation: deliveries that it has not processed yet stay queued.

    Raises CancellationRefused if it has ended.
    """
    if not _finish(cancellation_id, State.STOPPED):
        raise CancellationRefused("the cancellation has ended already")


def cancellations_advance(*, cancellation_id: UUID | None = None) -> int:
    """Continue all running mass cancellations, or the given one. Returns the number of processed deliveries.

    Several processes may run it at the same time.
    """
    running = MassCancellation.objects.filter(state=State.RUNNING).order_by("created_at")
    if cancellation_id is not None:
        running = running.filter(pk=cancellation_id)
    return sum(for_each(list(running.values_list("pk", flat=True)), _advance, what="cancellation"))


def _advance(cancellation_id: UUID) -> int:
    done = 0
    while done < PER_RUN and (moved := _slice(cancellation_id)):
        done += moved
    return done


def _slice(cancellation_id: UUID) -> int:
    """Process the next SLICE deliveries and return their number.

    Returns 0 if the mass cancellation has ended, or if another process has just finished this slice.
    """
    cancellation = MassCancellation.objects.defer("delivery_ids").get(pk=cancellation_id)
    if cancellation.state != State.RUNNING:
        return 0
    start, end = cancellation.position, cancellation.position + SLICE
    ids: list[UUID] = MassCancellation.objects.values_list(f"delivery_ids__{start}_{end}", flat=True).get(
        pk=cancellation_id
    )
    for delivery_id in ids:
        _cancel(delivery_id, cancellation.reason)
    return len(ids) if _move_on(cancellation, ids) else 0


def _cancel(delivery_id: UUID, reason: str) -> None:
    try:
        delivery_cancel(delivery_id=delivery_id, reason=reason)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        # The delivery's origin failed to settle it. It stays queued; the other deliveries are still cancelled.
        log.exception("delivery %s could not be cancelled", delivery_id)


@transaction.atomic
def _move_on(cancellation: MassCancellation, ids: list[UUID]) -> bool:
    # Count the cancelled deliveries by their stored reason: an earlier run may have crashed before this line.
    cancelled = Delivery.objects.filter(pk__in=ids, state=Delivery.State.CANCELLED, error=cancellation.reason)
    # The admin log needs the bots' names, but not their secrets, which this process may not be able to decrypt.
    secrets = ("bot__phone", "bot__api_hash", "bot__proxy_url")
    gone = list(cancelled.select_related("bot", "chat").defer(*secrets))
    here = MassCancellation.objects.filter(pk=cancellation.pk, state=State.RUNNING, position=cancellation.position)
    if not here.update(position=F("position") + len(ids), cancelled=F("cancelled") + len(gone)):
        return False
    if cancellation.user_id is not None:
        audit.record(
            *gone, message=f"Cancelled together with other deliveries ({cancellation}).", user_id=cancellation.user_id
        )
    if cancellation.position + len(ids) >= cancellation.total:
        _finish(cancellation.pk, State.DONE)
    return True


def _finish(cancellation_id: UUID, state: MassCancellation.State) -> bool:
    running = MassCancellation.objects.filter(pk=cancellation_id, state=State.RUNNING)
    return bool(running.update(state=state, finished_at=database_clock()))
