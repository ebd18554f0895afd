"""Checks whether a campaign can be started. Rooms above register the checks: they know the accounts it is given."""

from collections.abc import Callable
from uuid import UUID

_checks: list[Callable[..., str]] = []


def register_check(check: Callable[..., str]) -> None:
    """`check(campaign_id=…)` answers in sentences what is missing and what to do, nothing when the campaign may start.
    Call it from an app's `ready`. The answers are listed in the order of registration, that of INSTALLED_APPS."""
    if check not in _checks:
        _checks.append(check)


def start_problems(*, campaign_id: UUID) -> list[str]:
    """What `campaigns.services.campaign_start` would refuse a draft for now."""
    return [problem for check in _checks if (problem := check(campaign_id=campaign_id))]
