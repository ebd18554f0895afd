"""Checks whether a campaign can be started. Rooms above, which know the campaign's accounts, register the checks."""

from collections.abc import Callable
from uuid import UUID

_checks: list[Callable[..., str]] = []


def register_check(check: Callable[..., str]) -> None:
    """Register a check. Call it from an app's `ready`.

    `check(campaign_id=…)` returns sentences about what is missing and what to do, or "" if the campaign may start. The
    texts are listed in the order of registration, which is the order of INSTALLED_APPS.
    """
    if check not in _checks:
        _checks.append(check)


def start_problems(*, campaign_id: UUID) -> list[str]:
    """The reasons for which `campaigns.services.campaign_start` would refuse a draft now."""
    return [problem for check in _checks if (problem := check(campaign_id=campaign_id))]
