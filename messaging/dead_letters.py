"""What an operator does with one dead letter: edit, replay, discard, reopen."""

import difflib
import json
import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from django.db import transaction

from messaging import outbox, topology
from messaging.errors import NotPossible
from messaging.events import UndecodableMessage, decode
from messaging.models import DeadLetter, DeadLetterEntry, OutboxEvent
from messaging.subscriptions import body_digest
from messaging.wire import from_json, storable

log = logging.getLogger(__name__)

State, What = DeadLetter.State, DeadLetterEntry.What
# Written by the broker on the way to the archive; on a replay they would tell of the life before.
_BROKER_HEADERS = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count")

# When a task is to begin at the earliest, and at the latest.
_TIME_HEADERS = ("eta", "expires")


@dataclass(frozen=True)
class Preview:
    """What a replay of a letter would send. `diff`: unified, over indented JSON; empty when nothing was changed.

    `refusal` says why the message would be refused again before its handler runs; empty when it would be handled.
    """

    body: str
    diff: list[str]
    refusal: str


@transaction.atomic
def dead_letter_replay(*, letter_id: int, by: str) -> uuid.UUID:
    """Send a dead letter once more, through the outbox, to the queue where it died and to no other.

    What was unroutable goes to its exchange again: by now a binding may want it. An edited body is sent instead of the
    original one. The letter becomes `replayed`; it opens again if the message dies again. Returns the replay's id,
    which travels in the message's headers. Raises `NotPossible`.
    """
    outcome = dead_letters_replay(letter_ids=[letter_id], by=by).get(letter_id)
    if outcome is None:
        raise DeadLetter.DoesNotExist
    if isinstance(outcome, str):
        raise NotPossible(outcome)
    return outcome


@transaction.atomic
def dead_letters_replay(*, letter_ids: Sequence[int], by: str) -> dict[int, uuid.UUID | str]:
    """As `dead_letter_replay` for each, in this order: the replay's id, or why there is none."""
    # Locked in one order everywhere, sent in the caller's.
    locked = DeadLetter.objects.filter(pk__in=letter_ids).order_by("pk").select_for_update(no_key=True)
    known = {letter.pk: letter for letter in locked}
    letters = [known[pk] for pk in letter_ids if pk in known]
    outcomes = {letter.pk: _closed(letter, "replayed") or replay_refusal(letter) or uuid.uuid4() for letter in letters}
    sent = [(letter, replay) for letter in letters if isinstance(replay := outcomes[letter.pk], uuid.UUID)]
    if sent:
        outbox.enqueue(*(_message(letter, replay) for letter, replay in sent))
        DeadLetter.objects.filter(pk__in=[letter.pk for letter, _ in sent]).update(
            state=State.REPLAYED, decided_by=by[:150], decision_reason=""
        )
        DeadLetterEntry.objects.bulk_create(_replayed(letter, replay, by) for letter, replay in sent)
        log.info("dead letters %s are replayed by %s", ", ".join(str(letter.pk) for letter, _ in sent), by)
    return outcomes


def replay_refusal(letter: DeadLetter) -> str:
    """Why this letter cannot be sent at all; empty when it can."""
    if letter.queue in topology.TASKS and letter.task not in topology.TASKS[letter.queue]:
        return f"{letter.queue} takes no such message: it is for none of the queue's tasks"
    if letter.queue and not is_handled(letter.queue):
        return f"nobody subscribes to {letter.queue} any more"
    if not letter.body_to_send:
        return "its content was erased, or it never had any"
    if not letter.edited_body and body_digest(letter.body.encode()) != letter.body_digest:
        return "the body is not UTF-8 text: it cannot be sent as it was, and it would be refused again"
    return ""


def is_handled(queue: str) -> bool:
    """Whether a message that is sent to this queue is handled: by its subscription, or by the task that it names."""
    return queue in topology.SUBSCRIPTIONS or queue in topology.TASKS


@transaction.atomic
def dead_letter_edit(*, letter_id: int, body: str, by: str) -> DeadLetter:
    """Keep another body, which replays send instead of the original one; a body that says the same undoes an edit.

    It must be a JSON object, and of the same event: its `id` is the letter's, or left out. Raises `NotPossible`.
    """
    letter = _open_letter(letter_id, "edited")
    edited = check_body(letter, body)
    diff = difference(letter.body, edited)
    letter.edited_body = edited if diff else ""
    letter.save(update_fields=["edited_body"])
    _remember(letter, What.EDITED, by=by, note="\n".join(diff) or "back to the original body")
    return letter


@transaction.atomic
def dead_letter_discard(*, letter_id: int, reason: str, by: str) -> DeadLetter:
    """Decide that a dead letter shall not be handled. It stays readable. Raises `NotPossible`."""
    letter = _open_letter(letter_id, "discarded")
    _decide(letter, State.DISCARDED, What.DISCARDED, by=by, reason=reason)
    return letter


@transaction.atomic
def dead_letter_reopen(*, letter_id: int, by: str) -> DeadLetter:
    """Take a decision back: what was discarded, or replayed into a queue that somebody purged. Raises `NotPossible`.

    A replayed event that was handled is not handled twice, whatever is replayed.
    """
    letter = DeadLetter.objects.select_for_update(no_key=True).get(pk=letter_id)
    if letter.state == State.OPEN:
        raise NotPossible("the letter is open already")
    _decide(letter, State.OPEN, What.REOPENED, by=by)
    return letter


def preview(letter: DeadLetter, body: str) -> Preview:
    """What replaying the letter with this body would do; raises `NotPossible` for a body that cannot be kept."""
    edited = check_body(letter, body)
    refusal = ""
    try:
        decode(letter.exchange, letter.routing_key, edited.encode(), message_id=str(letter.event_id))
    except UndecodableMessage as problem:
        refusal = str(problem)
    return Preview(edited, difference(letter.body, edited), refusal)


def check_body(letter: DeadLetter, body: str) -> str:
    """The body as it would be sent; raises `NotPossible` when it is no JSON object or another event's, or a task's."""
    if letter.task:
        raise NotPossible("a task's arguments are ids and cannot be edited: replay or discard it")
    text = body.replace("\r\n", "\n").strip().removeprefix("\ufeff")
    try:
        fields = from_json(text, parse_constant=_refuse_constant)
        text.encode()
    except (ValueError, RecursionError) as problem:
        raise NotPossible(f"the body is not JSON: {problem}") from None
    if not isinstance(fields, dict):
        raise NotPossible("the body is JSON, but not an object")
    own = fields.get("id")
    if own is not None and _uuid(own) != letter.event_id:
        raise NotPossible(f'the "id" of this event is {letter.event_id}: keep it, or leave it out')
    return text


def difference(before: str, after: str) -> list[str]:
    """A unified diff of two bodies, with indentation so that one field is one line; empty when they say the same."""
    old, new = indented(before).splitlines(), indented(after).splitlines()
    return list(difflib.unified_diff(old, new, "original", "edited", lineterm="", n=3))


def indented(text: str) -> str:
    """JSON as people read it; anything else as it is."""
    try:
        # A lone surrogate is JSON but no text that can be shown: it stays the escape that it was.
        return storable(json.dumps(from_json(text), indent=2, ensure_ascii=False))
    except (ValueError, RecursionError):
        return text


def _uuid(value: object) -> uuid.UUID | None:
    try:
        return uuid.UUID(str(value))
    except ValueError:
        return None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _message(letter: DeadLetter, replay: uuid.UUID) -> OutboxEvent:
    return OutboxEvent(
        event_id=letter.event_id,
        service="admin",
        exchange=topology.TASKS_EXCHANGE if letter.queue else letter.exchange,
        routing_key=letter.queue or letter.routing_key,
        body=letter.body_to_send,
        headers=_replay_headers(letter, replay),
    )


def _replayed(letter: DeadLetter, replay: uuid.UUID, by: str) -> DeadLetterEntry:
    note = "with the edited body" if letter.edited_body else ""
    return DeadLetterEntry(letter=letter, what=What.REPLAYED, by=by[:150], note=note, replay=replay)


def _replay_headers(letter: DeadLetter, replay: uuid.UUID) -> dict[str, Any]:
    headers = {name: value for name, value in letter.headers.items() if not name.startswith(_BROKER_HEADERS)}
    if letter.task:
        # It would be dropped as too late.
        headers |= dict.fromkeys(_TIME_HEADERS, None)
    headers |= {topology.EVENT_ID_HEADER: str(letter.event_id), topology.REPLAY_HEADER: str(replay)}
    if letter.queue:
        headers |= {
            topology.ORIGINAL_EXCHANGE_HEADER: letter.exchange,
            topology.ORIGINAL_ROUTING_KEY_HEADER: letter.routing_key,
        }
    return headers


def _open_letter(letter_id: int, verb: str) -> DeadLetter:
    letter = DeadLetter.objects.select_for_update(no_key=True).get(pk=letter_id)
    if reason := _closed(letter, verb):
        raise NotPossible(reason)
    return letter


def _closed(letter: DeadLetter, verb: str) -> str:
    return "" if letter.state == State.OPEN else f"the letter is {letter.state} already and cannot be {verb}"


def _decide(
    letter: DeadLetter, state: DeadLetter.State, what: DeadLetterEntry.What, *, by: str, reason: str = ""
) -> None:
    letter.state, letter.decided_by, letter.decision_reason = state, by[:150], reason[:200]
    letter.save(update_fields=["state", "decided_by", "decision_reason"])
    _remember(letter, what, by=by, note=reason)


def _remember(letter: DeadLetter, what: DeadLetterEntry.What, *, by: str, note: str = "") -> None:
    DeadLetterEntry.objects.create(letter=letter, what=what, by=by[:150], note=note)
    log.info("dead letter %s (event %s) is %s by %s", letter.pk, letter.event_id, what.label.lower(), by)
