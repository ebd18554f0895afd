"""From a draft, whose cast and targets may still change, to a script that waits to be prepared."""

import secrets
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction

from messaging.database.clock import database_clock
from messaging.publishing.outbox import publish_on_commit
from scripts import checks, snapshot
from scripts.errors import AssignedAlready, CannotStart, CastFixed, MoveRefused
from scripts.events import NewActiveScript
from scripts.models import OPEN_STATES, Casting, ScriptForCampaign, Target
from scripts.services.rows import sfc_locked

State = ScriptForCampaign.State


def sfc_activate(*, sfc_id: UUID, now: datetime | None = None) -> ScriptForCampaign:
    """Activate: its script is frozen into the snapshot and `NewActiveScript` goes out with the same commit.

    A seed that somebody set is kept, so that a play can be repeated word for word. Activating what is active or
    plays already does nothing. Raises CannotStart (nothing is changed), MoveRefused, UnknownScript.
    """
    with transaction.atomic():
        sfc = sfc_locked(sfc_id)
        if sfc.state in (State.ACTIVE, State.PLAYING):
            return sfc
        if not may_be_activated(sfc):
            raise MoveRefused("the script", sfc.get_state_display().lower(), "activated")
        found = activate_locked(sfc, now=now or database_clock())
        if found:
            raise CannotStart(found)
        sfc.supervised_at = None
        sfc.save(update_fields=["supervised_at"])
        publish_on_commit(NewActiveScript(script_for_campaign_id=str(sfc.pk)))
        return sfc


def sfc_missing(*, sfc: ScriptForCampaign) -> list[str]:
    """What `sfc_activate` would refuse it for now."""
    if not may_be_activated(sfc):
        return []
    return checks.problems(sfc, snapshot.lines_of(sfc.script), now=database_clock())


def may_be_activated(sfc: ScriptForCampaign) -> bool:
    """A draft, or what failed before anything was played: put right, it may try again."""
    return sfc.state == State.DRAFT or (sfc.state == State.FAILED and not sfc.runs.exists())


def preparation_lock(*, sfc_ids: Iterable[UUID]) -> None:
    """Lock these assignments before their cast, targets or script change: none of them is activated until the
    transaction ends. Raises CastFixed for one that is not in preparation."""
    wanted = ScriptForCampaign.objects.filter(pk__in=set(sfc_ids)).select_related("campaign", "script")
    for sfc in wanted.select_for_update(of=("self",)).order_by("pk"):
        if not may_be_activated(sfc):
            raise CastFixed(str(sfc), sfc.get_state_display().partition(":")[0].lower())


def may_be_repeated(sfc: ScriptForCampaign) -> bool:
    """It has ended, and cannot be activated itself."""
    return sfc.state not in OPEN_STATES and not may_be_activated(sfc)


def sfc_repeat(*, sfc_id: UUID) -> ScriptForCampaign:
    """A new draft with the cast and the targets of one that has ended, which stays as it was played.

    Its variants are drawn anew. Raises AssignedAlready, MoveRefused, UnknownScript.
    """
    with transaction.atomic():
        ended = sfc_locked(sfc_id)
        if not may_be_repeated(ended):
            raise MoveRefused("the script", ended.get_state_display().lower(), "played again")
        try:
            with transaction.atomic():
                draft = ScriptForCampaign.objects.create(campaign=ended.campaign, script=ended.script)
        except IntegrityError as error:
            raise AssignedAlready from error
        Casting.objects.bulk_create(
            Casting(sfc=draft, slot_id=casting.slot_id, bot_id=casting.bot_id) for casting in ended.cast.all()
        )
        Target.objects.bulk_create(Target(sfc=draft, chat_id=target.chat_id) for target in ended.targets.order_by("id"))
        return draft


def activate_locked(sfc: ScriptForCampaign, *, now: datetime) -> list[str]:
    """Move a locked sfc to active, unless something keeps it from starting: that is returned and nothing is changed."""
    lines = snapshot.lines_of(sfc.script)
    found = checks.problems(sfc, lines, now=now)
    if found:
        return found
    sfc.state = State.ACTIVE
    sfc.state_reason = sfc.incident = ""
    sfc.snapshot = snapshot.dump(lines)
    sfc.seed = sfc.seed or secrets.randbits(63)
    sfc.activated_at = now
    sfc.started_at = sfc.finished_at = None
    sfc.save(
        update_fields=[
            "state", "state_reason", "incident", "snapshot", "seed", "activated_at", "started_at", "finished_at",
        ]
    )  # fmt: skip
    return []
