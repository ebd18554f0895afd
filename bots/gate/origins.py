"""The registry of origins: the rooms' objects for which deliveries are queued.

The gate and the ledger call origins only through this module. Each room registers its origin once, in its app's
`ready`. The order of registration has no effect.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from bots.gate.verdicts import ALLOW, Verdict, Wait
from bots.models import Delivery


class Origin(Protocol):
    """The interface of a room that queues deliveries.

    All methods are called inside a transaction and must not use the network. `now` is the database's time that the
    whole transaction uses.
    """

    def lock_fences(self, origin_ids: Collection[UUID]) -> None:
        """Lock FOR SHARE, in a fixed order, the rows that `verdicts` reads and whose change must stop a message."""

    def verdicts(self, deliveries: Sequence[Delivery], *, now: datetime) -> Mapping[UUID, Verdict]:
        """The verdicts by delivery id. Called after `lock_fences`.

        Leave out a delivery whose object no longer exists; the gate refuses it.
        """

    def settle(self, delivery: Delivery, *, now: datetime) -> None:
        """Continue after the delivery has got its final state, which this transaction has written.

        Called once for each delivery. It must not wait for a row that a transaction may have locked which has closed a
        fence and cancels deliveries.
        """


_origins: dict[str, Origin] = {}


def register_origin(name: str, origin: Origin) -> None:
    """Register an origin. `name` is stored in `Delivery.origin`, so it must never change."""
    _origins[name] = origin


def origin_named(name: str) -> Origin | None:
    return _origins.get(name)


def origins_lock(wanted: Iterable[tuple[str, UUID]]) -> None:
    """Lock the fences of deliveries, given as (origin, origin id), in the order of the origins' names.

    Origins that are not registered are skipped; `origin_verdicts` makes their deliveries wait.
    """
    ids: dict[str, list[UUID]] = defaultdict(list)
    for name, origin_id in wanted:
        ids[name].append(origin_id)
    for name in sorted(ids):
        if (origin := origin_named(name)) is not None:
            origin.lock_fences(sorted(ids[name]))


def origin_verdicts(deliveries: Sequence[Delivery], *, now: datetime) -> dict[UUID, Verdict]:
    """The origins' verdicts by delivery id.

    A delivery without an origin, which a preview makes, is allowed. If its origin is not registered in this process, a
    delivery waits.
    """
    by_origin: dict[str, list[Delivery]] = defaultdict(list)
    for delivery in deliveries:
        by_origin[delivery.origin].append(delivery)
    verdicts: dict[UUID, Verdict] = {}
    for name, theirs in by_origin.items():
        origin = origin_named(name)
        if not name:
            verdicts |= {delivery.id: ALLOW for delivery in theirs}
        elif origin is None:
            unknown = Wait(None, f"This worker has no code for messages of the kind “{name}”.")
            verdicts |= {delivery.id: unknown for delivery in theirs}
        else:
            verdicts |= origin.verdicts(theirs, now=now)
    return verdicts


def origin_settle(delivery: Delivery, *, now: datetime) -> None:
    """Let the origin continue after a delivery has reached its final state.

    Raises LookupError if the origin is not registered in this process; the caller must then not store the state.
    """
    origin = origin_named(delivery.origin)
    if origin is None:
        raise LookupError(f"No origin {delivery.origin} is registered in this process.")
    origin.settle(delivery, now=now)
