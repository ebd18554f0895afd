"""Who plays a script and where: changed until it is activated, on record from then on."""

from collections.abc import Iterable
from uuid import UUID

from scripts.errors import CastFixed
from scripts.models import ScriptForCampaign
from scripts.services.activation import may_be_activated


def preparation_lock(*, sfc_ids: Iterable[UUID]) -> None:
    """Lock these assignments before their cast, targets or script change: none of them is activated until the
    transaction ends. Raises CastFixed for one that is not in preparation."""
    wanted = ScriptForCampaign.objects.filter(pk__in=set(sfc_ids)).select_related("campaign", "script")
    for sfc in wanted.select_for_update(of=("self",)).order_by("pk"):
        if not may_be_activated(sfc):
            raise CastFixed(str(sfc), sfc.get_state_display().partition(":")[0].lower())
