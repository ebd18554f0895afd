"""The preparation of an active assignment: a play per target chat, with its steps and its first delivery."""

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
from scripts.models import Assignment, Play, Step
from scripts.services.activation import activate_locked
from scripts.services.plays import steps_queue
from scripts.services.rows import assignment_locked, short
from scripts.snapshot import SnapshotLine
from texts import spintax
from texts.telegram_form import as_kept

log = logging.getLogger(__name__)

State = Assignment.State
ROWS_AT_ONCE = 1000


def assignment_prepare(*, assignment_id: str, now: datetime | None = None) -> None:
    """Create the plays of an active assignment.

    A draft is activated first, because another program may publish `NewActiveScript` for it. An assignment that cannot
    start becomes failed, with the reason in its row and in a `scripts.error` event. In any other state this does
    nothing: the assignment was already prepared, or was stopped. Raises UnknownScript.
    """
    now = now or database_clock()
    with transaction.atomic():
        assignment = assignment_locked(assignment_id)
        if assignment.state == State.DRAFT:
            found = activate_locked(assignment, now=now)
        elif assignment.state == State.ACTIVE:
            found = checks.problems(assignment, snapshot.load(assignment.snapshot), now=now)
        else:
            return
        if found:
            _fail(assignment, found, now=now)
        else:
            _start(assignment, now=now)


def _fail(assignment: Assignment, found: Sequence[str], *, now: datetime) -> None:
    reason = "; ".join(found)
    assignment.state, assignment.state_reason, assignment.finished_at = State.FAILED, short(reason), now
    assignment.save(update_fields=["state", "state_reason", "finished_at"])
    publish_on_commit(ServiceErrorEvent(service="scripts", reason=f"{assignment} cannot start: {reason}"))
    log.warning("assignment %s cannot start: %s", assignment.pk, reason)


def _start(assignment: Assignment, *, now: datetime) -> None:
    lines = snapshot.load(assignment.snapshot)
    cast = {casting.slot.name: casting.bot for casting in assignment.cast.select_related("slot", "bot")}
    chats = [target.chat for target in assignment.targets.select_related("chat").order_by("id")]
    plays = [Play(assignment=assignment, chat=chat, started_at=now, progressed_at=now) for chat in chats]
    steps = [_steps(play, lines, cast, seed=assignment.seed) for play in plays]
    Play.objects.bulk_create(plays, batch_size=ROWS_AT_ONCE)
    steps_queue([of_play[0] for of_play in steps], campaign_id=assignment.campaign_id, after=now)
    Step.objects.bulk_create([step for of_play in steps for step in of_play], batch_size=ROWS_AT_ONCE)
    assignment.state, assignment.started_at = State.PLAYING, now
    assignment.save(update_fields=["state", "started_at"])
    publish_on_commit(ScriptStartedEvent(sfc_id=assignment.pk, chats=[_name(chat) for chat in chats]))


def _steps(play: Play, lines: Sequence[SnapshotLine], cast: dict[str, Bot], *, seed: int) -> list[Step]:
    ids = {line.id: uuid.uuid4() for line in lines}
    return [
        Step(
            id=ids[line.id],
            play=play,
            line_id=line.id,
            position=line.position,
            slot_name=line.slot,
            bot=cast[line.slot],
            text=variant(line, seed=seed, chat=play.chat),
            reply_to_id=ids[line.reply_to] if line.reply_to else None,
            delay_seconds=line.delay_seconds,
        )
        for line in lines
    ]


def variant(line: SnapshotLine, *, seed: int, chat: Chat) -> str:
    """The line's variant for a chat, in the form in which Telegram will store it.

    It depends only on the seed, the chat and the line.
    """
    return as_kept(spintax.render(line.text, random.Random(f"{seed}:{chat.key}:{line.key}")))


def _name(chat: Chat) -> str | int:
    return chat.telegram_id if chat.telegram_id is not None else chat.reference
