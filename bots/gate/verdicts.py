"""The verdicts of the gate about a delivery. Their reasons are sentences for operators."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Allow:
    pass


@dataclass(frozen=True)
class Wait:
    """Not now. `until` is None if the end is not known; the gate checks the delivery again within seconds then."""

    until: datetime | None
    reason: str


@dataclass(frozen=True)
class Refuse:
    """The delivery will never be sent."""

    reason: str


Verdict = Allow | Wait | Refuse
ALLOW = Allow()
