"""From an active script to plays: a run a target chat, its steps with their variants drawn, the first delivery."""

import logging
import random
import uuid
from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from bots.models import Bot
from campaigns.models import Chat
from messaging.database.clock import database_clock
from messaging.events import ServiceErrorEvent
from messaging.publishing.outbox import publish_on_commit
from scripts import checks, snapshot
from scripts.events import ScriptStartedEvent
from scripts.models import Run, ScriptForCampaign, Step
from scripts.services.activation import activate_locked
from scripts.services.plays import steps_queue
from scripts.services.rows import sfc_locked, short
from scripts.snapshot import SnapshotLine
from texts import spintax
from texts.telegram_form import as_kept

log = logging.getLogger(__name__)

State = ScriptForCampaign.State
ROWS_AT_ONCE = 1000


def sfc_prepare(*, sfc_id: str, now: datetime | None = None) -> None:
    """Make the plays of an active sfc. A draft is activated first (a foreign program may publish for one).

    What cannot start becomes failed, with the reason in the row and in a `scripts.error` event. In any other state
    it has been prepared already, or stopped: nothing happens. Raises UnknownScript.
    """
    now = now or database_clock()
    with transaction.atomic():
        sfc = sfc_locked(sfc_id)
        if sfc.state == State.DRAFT:
            found = activate_locked(sfc, now=now)
        elif sfc.state == State.ACTIVE:
            found = checks.problems(sfc, snapshot.load(sfc.snapshot), now=now)
        else:
            return
        if found:
            _fail(sfc, found, now=now)
        else:
            _start(sfc, now=now)


def _fail(sfc: ScriptForCampaign, found: Sequence[str], *, now: datetime) -> None:
    reason = "; ".join(found)
    sfc.state, sfc.state_reason, sfc.finished_at = State.FAILED, short(reason), now
    sfc.save(update_fields=["state", "state_reason", "finished_at"])
    publish_on_commit(ServiceErrorEvent(service="scripts", reason=f"{sfc} cannot start: {reason}"))
    log.warning("sfc %s cannot start: %s", sfc.pk, reason)


def _start(sfc: ScriptForCampaign, *, now: datetime) -> None:
    lines = snapshot.load(sfc.snapshot)
    cast = {casting.slot.name: casting.bot for casting in sfc.cast.select_related("slot", "bot")}
    chats = [target.chat for target in sfc.targets.select_related("chat").order_by("id")]
    runs = [Run(sfc=sfc, chat=chat, started_at=now, progressed_at=now) for chat in chats]
    steps = [_steps(run, lines, cast, seed=sfc.seed) for run in runs]
    Run.objects.bulk_create(runs, batch_size=ROWS_AT_ONCE)
    steps_queue([of_run[0] for of_run in steps], campaign_id=sfc.campaign_id, after=now)
    Step.objects.bulk_create([step for of_run in steps for step in of_run], batch_size=ROWS_AT_ONCE)
    sfc.state, sfc.started_at = State.PLAYING, now
    sfc.save(update_fields=["state", "started_at"])
    publish_on_commit(ScriptStartedEvent(sfc_id=sfc.pk, chats=[_name(chat) for chat in chats]))


def _steps(run: Run, lines: Sequence[SnapshotLine], cast: dict[str, Bot], *, seed: int) -> list[Step]:
    ids = {line.id: uuid.uuid4() for line in lines}
    return [
        Step(
            id=ids[line.id],
            run=run,
            line_id=line.id,
            position=line.position,
            slot_name=line.slot,
            bot=cast[line.slot],
            text=drawn(line, seed=seed, chat=run.chat),
            reply_to_id=ids[line.reply_to] if line.reply_to else None,
            delay_seconds=line.delay_seconds,
        )
        for line in lines
    ]


def drawn(line: SnapshotLine, *, seed: int, chat: Chat) -> str:
    """The line's variant for one chat, as Telegram will keep it: the same for the same seed, whatever other lines and
    chats there are."""
    return as_kept(spintax.render(line.text, random.Random(f"{seed}:{chat.key}:{line.key}")))


def _name(chat: Chat) -> str | int:
    return chat.telegram_id if chat.telegram_id is not None else chat.reference
