"""The registry of origins: for what a delivery was queued. The gate and the ledger reach them only through this module.

Each room registers its origin once, in its app's `ready`. The order of registration has no effect.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from bots.gate.rules import ALLOW, Verdict, Wait
from bots.models import Delivery


class Origin(Protocol):
    """What a room above knows of its deliveries. All three are called inside a transaction, without network. `now` is
    the database's time, the one by which the rest of the transaction goes."""

    def lock_fences(self, origin_ids: Collection[UUID]) -> None:
        """Lock FOR SHARE, in a fixed order, every row that `verdicts` reads and whose change must stop a message."""

    def verdicts(self, deliveries: Sequence[Delivery], *, now: datetime) -> Mapping[UUID, Verdict]:
        """By delivery id, after `lock_fences`. A delivery that is left out is refused: its origin is gone."""

    def settle(self, delivery: Delivery, *, now: datetime) -> None:
        """The delivery has its final state, written in this transaction. Make the next step.

        Called once for each delivery; locks nothing that could make it wait for whoever holds a fence and cancels.
        """


_origins: dict[str, Origin] = {}


def register_origin(name: str, origin: Origin) -> None:
    """`name` stands in `Delivery.origin`; it never changes."""
    _origins[name] = origin


def origin_named(name: str) -> Origin | None:
    return _origins.get(name)


def origins_lock(wanted: Iterable[tuple[str, UUID]]) -> None:
    """Lock the fences of deliveries, given as (origin, origin id), in the order of the origins' names. An unknown
    origin has no fences; `origin_verdicts` makes its deliveries wait."""
    ids: dict[str, list[UUID]] = defaultdict(list)
    for name, origin_id in wanted:
        ids[name].append(origin_id)
    for name in sorted(ids):
        if (origin := origin_named(name)) is not None:
            origin.lock_fences(sorted(ids[name]))


def origin_verdicts(deliveries: Sequence[Delivery], *, now: datetime) -> dict[UUID, Verdict]:
    """By delivery id. A delivery without an origin, a preview's, is allowed; one whose origin is not registered in
    this process waits."""
    by_origin: dict[str, list[Delivery]] = defaultdict(list)
    for delivery in deliveries:
        by_origin[delivery.origin].append(delivery)
    verdicts: dict[UUID, Verdict] = {}
    for name, asked in by_origin.items():
        origin = origin_named(name)
        if not name:
            verdicts |= {delivery.id: ALLOW for delivery in asked}
        elif origin is None:
            unknown = Wait(None, f"No code for “{name}” runs in this worker.")
            verdicts |= {delivery.id: unknown for delivery in asked}
        else:
            verdicts |= origin.verdicts(asked, now=now)
    return verdicts


def origin_settle(delivery: Delivery, *, now: datetime) -> None:
    """Give a delivery that has reached its final state to its origin. Raises LookupError for an origin that is not
    registered in this process: the state must not be written then."""
    origin = origin_named(delivery.origin)
    if origin is None:
        raise LookupError(f"No origin {delivery.origin} is registered in this process.")
    origin.settle(delivery, now=now)
