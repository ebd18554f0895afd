"""Who plays a script and where: changed until it is activated, on record from then on."""

from collections.abc import Iterable
from uuid import UUID

from scripts.errors import CastFixed
from scripts.models import ScriptForCampaign
from scripts.services.activation import may_be_activated


def preparation_hold(*, sfc_ids: Iterable[UUID]) -> None:
    """For whoever is about to change the cast, the targets, or what is played: from its return on until the transaction
    ends none of these is activated. Raises CastFixed."""
    wanted = ScriptForCampaign.objects.filter(pk__in=set(sfc_ids)).select_related("campaign", "script")
    for sfc in wanted.select_for_update(of=("self",)).order_by("pk"):
        if not may_be_activated(sfc):
            raise CastFixed(str(sfc), sfc.get_state_display().partition(":")[0].lower())
