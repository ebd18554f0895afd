"""Locked rows, and text that fits its column."""

from uuid import UUID

from scripts.errors import UnknownScript
from scripts.models import Run, ScriptForCampaign

LONGEST_REASON = 300  # characters of every reason column


def sfc_locked(sfc_id: UUID | str) -> ScriptForCampaign:
    """The sfc, locked for update until the caller's transaction ends. Raises UnknownScript."""
    try:
        key = sfc_id if isinstance(sfc_id, UUID) else UUID(sfc_id)
        return (
            ScriptForCampaign.objects.select_for_update(of=("self",)).select_related("campaign", "script").get(pk=key)
        )
    except (ValueError, ScriptForCampaign.DoesNotExist) as error:
        raise UnknownScript(sfc_id) from error


def run_locked(run_id: UUID) -> Run:
    """The run, locked for update until the caller's transaction ends. The whole script is not read with it."""
    runs = Run.objects.select_for_update(of=("self",)).select_related("chat", "sfc").defer("sfc__snapshot")
    return runs.get(pk=run_id)


def short(reason: str) -> str:
    return reason if len(reason) <= LONGEST_REASON else reason[: LONGEST_REASON - 1] + "…"
