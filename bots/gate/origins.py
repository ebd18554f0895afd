"""The registry of origins: for what a delivery was queued. Each room above registers its own when its app is ready."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from bots.gate.rules import Verdict
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
    _origins[name] = origin


def origin_named(name: str) -> Origin | None:
    return _origins.get(name)
