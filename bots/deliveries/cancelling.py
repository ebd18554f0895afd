"""Cancel many deliveries on an operator's order: in slices, resumed after any crash, each delivery settled by itself.

An order keeps the deliveries that matched when it was given. Cancelling a cancelled delivery changes nothing, so a
slice may run twice and beside itself; the order advances by a conditional UPDATE.
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
# More are not kept in one order: a narrower choice is a clearer one, too.
MOST = 100_000
# Deliveries after which an order notes how far it is, and those that one run cancels of it at most.
SLICE, A_RUN = 100, 1000

State = MassCancellation.State

log = logging.getLogger(__name__)


class CancellationRefused(Exception):
    """The order cannot be given or stopped; the text says why."""


def matching(*, deliveries: QuerySet[Delivery], until: datetime) -> dict[str, int]:
    """How many of those that were there at `until` are in which state."""
    counted = deliveries.filter(created_at__lte=until).order_by().values_list("state").annotate(n=Count("pk"))
    return dict(counted)


@transaction.atomic
def cancellation_start(
    *, deliveries: QuerySet[Delivery], until: datetime, by: str, what: str, user_id: int | None = None
) -> MassCancellation:
    """Cancel those that are queued now and were there at `until`. `what` says how they were chosen.

    Returns at once; `cancellations_advance` does the work. Raises CancellationRefused when there is none, or too many.
    """
    queued = deliveries.filter(state=Delivery.State.QUEUED, created_at__lte=until).order_by("due_at", "pk")
    ids = list(queued.values_list("pk", flat=True)[: MOST + 1])
    if not ids:
        raise CancellationRefused("none of them is queued")
    if len(ids) > MOST:
        raise CancellationRefused(f"more than {MOST} are too many for one order: choose fewer")
    order = MassCancellation.objects.create(by=by[:150], user_id=user_id, what=what, delivery_ids=ids, total=len(ids))
    send_on_commit(TASK)
    return order


@transaction.atomic
def cancellation_stop(*, order_id: UUID) -> None:
    """Leave the deliveries that still wait for their turn queued."""
    if not _finish(order_id, State.STOPPED):
        raise CancellationRefused("it has ended already")


def cancellations_advance(*, order_id: UUID | None = None) -> int:
    """Go on with every order under way, or with one; how many deliveries had their turn. May run beside itself."""
    running = MassCancellation.objects.filter(state=State.RUNNING).order_by("created_at")
    if order_id is not None:
        running = running.filter(pk=order_id)
    return sum(for_each(list(running.values_list("pk", flat=True)), _advance, what="cancellation"))


def _advance(order_id: UUID) -> int:
    done = 0
    while done < A_RUN and (moved := _slice(order_id)):
        done += moved
    return done


def _slice(order_id: UUID) -> int:
    """The next SLICE of the order; 0 when it has ended, or somebody else has just done this slice."""
    order = MassCancellation.objects.defer("delivery_ids").get(pk=order_id)
    if order.state != State.RUNNING:
        return 0
    start, end = order.position, order.position + SLICE
    ids: list[UUID] = MassCancellation.objects.values_list(f"delivery_ids__{start}_{end}", flat=True).get(pk=order_id)
    for delivery_id in ids:
        _cancel(delivery_id, order.reason)
    return len(ids) if _move_on(order, ids) else 0


def _cancel(delivery_id: UUID, reason: str) -> None:
    try:
        delivery_cancel(delivery_id=delivery_id, reason=reason)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        # Whoever asked for it cannot settle it: it stays queued, the others do not wait for it.
        log.exception("delivery %s could not be cancelled", delivery_id)


@transaction.atomic
def _move_on(order: MassCancellation, ids: list[UUID]) -> bool:
    # What was cancelled is counted by its trace: an earlier run may have died before it came to this line.
    cancelled = Delivery.objects.filter(pk__in=ids, state=Delivery.State.CANCELLED, error=order.reason)
    # The trace names the bot; its secrets, which may be unreadable, are none of it.
    secrets = ("bot__phone", "bot__api_hash", "bot__proxy_url")
    gone = list(cancelled.select_related("bot", "chat").defer(*secrets))
    here = MassCancellation.objects.filter(pk=order.pk, state=State.RUNNING, position=order.position)
    if not here.update(position=F("position") + len(ids), cancelled=F("cancelled") + len(gone)):
        return False
    if order.user_id is not None:
        audit.record(*gone, message=f"Cancel, with others ({order}).", user_id=order.user_id)
    if order.position + len(ids) >= order.total:
        _finish(order.pk, State.DONE)
    return True


def _finish(order_id: UUID, state: MassCancellation.State) -> bool:
    running = MassCancellation.objects.filter(pk=order_id, state=State.RUNNING)
    return bool(running.update(state=state, finished_at=database_clock()))
