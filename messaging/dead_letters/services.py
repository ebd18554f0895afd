"""Operations on dead letters: edit, replay, discard, reopen."""

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from messaging.broker import topology
from messaging.broker.routing import Address
from messaging.consuming.execution import event_of
from messaging.consuming.subscriptions import subscription_of
from messaging.dead_letters import addresses
from messaging.dead_letters.addresses import UNCHANGED
from messaging.dead_letters.bodies import check_body, difference
from messaging.events import MAX_BODY_BYTES, UndecodableMessage, check_version
from messaging.messages import ReceivedMessage, body_digest
from messaging.models import DeadLetter, DeadLetterEntry, OutboxEvent
from messaging.publishing import outbox
from panelkit.errors import NotPossible
from panelkit.rights import PermissionHolder, require

# An edited message can have any effect that its event can have, so the right to replay does not include editing.
EDIT_RIGHT = "messaging.edit_deadletter"

log = logging.getLogger(__name__)

State, What = DeadLetter.State, DeadLetterEntry.What
# Headers that the broker adds on the way to the archive. On a replay they would describe the earlier deaths.
_BROKER_HEADERS = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count")

# The headers for a task's earliest and latest start.
_TIME_HEADERS = ("eta", "expires")


@dataclass(frozen=True)
class Preview:
    """What a replay of a letter would send.

    `diff` is a unified diff of indented JSON, empty without changes. `address` is the exchange and key that determine
    the type; `queues` get the message. `refusal` is the reason why the message would be refused before its handler
    runs, "" if it would be handled.
    """

    body: str
    diff: list[str]
    refusal: str
    address: Address
    queues: list[str]


@transaction.atomic
def dead_letter_replay(*, letter_id: int, by: str) -> uuid.UUID:
    """Send a dead letter again, through the outbox, only to the queue where it died.

    An unroutable message goes to its exchange again, because a binding may match it by now. So does a letter whose
    edited exchange and key do not lead to the queue where it died. If the body was edited, the edited one is sent. The
    letter becomes `replayed`; it opens again if the message dies again. Returns the replay's id, which is also in the
    message's headers. Raises `NotPossible`.
    """
    outcome = dead_letters_replay(letter_ids=[letter_id], by=by).get(letter_id)
    if outcome is None:
        raise DeadLetter.DoesNotExist
    if isinstance(outcome, str):
        raise NotPossible(outcome)
    return outcome


@transaction.atomic
def dead_letters_replay(*, letter_ids: Sequence[int], by: str) -> dict[int, uuid.UUID | str]:
    """Call `dead_letter_replay` for each letter in this order.

    Returns each replay's id, or the reason for refusing it.
    """
    # Locked in the order of primary keys, to prevent deadlocks; sent in the caller's order.
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
    """Why the letter cannot be replayed, and what the operator can do; "" if it can."""
    if problem := _address_refusal(letter):
        return problem
    if not letter.body_to_send:
        return "the body is empty or was erased: edit the body, or discard the dead letter"
    if not letter.edited_body and body_digest(letter.body.encode()) != letter.body_digest:
        return "the body is not UTF-8 text and would be refused again: edit the body"
    if len(letter.body_to_send.encode()) > MAX_BODY_BYTES:
        return f"the body is too large, the maximum is {MAX_BODY_BYTES} bytes: edit the body"
    return ""


def is_handled(queue: str) -> bool:
    """Whether a message sent to this queue is handled, by its subscription or by the task in the message."""
    return queue in topology.SUBSCRIPTIONS or queue in topology.TASKS


def goes_by_name(letter: DeadLetter) -> bool:
    """Whether a replay goes to the queue where the letter died. Otherwise it is published like any event."""
    return bool(letter.queue) and (not letter.is_readdressed or letter.queue in addresses.receivers(letter.address))


@transaction.atomic
def dead_letter_edit(
    *,
    letter_id: int,
    body: str | None = None,
    address: tuple[str, str] | None = None,
    by: str,
    holder: PermissionHolder,
) -> DeadLetter:
    """Store another body, or another exchange and key, for replays.

    The body must be a JSON object of the same event, with the letter's `id` or none. A body equal to the original
    undoes an edit; so does the original address, or `UNCHANGED`. A value of None changes nothing. An edited message
    gets the current version of the wire contract. `by` is the name for the record; the permissions of `holder` count.
    Raises PermissionDenied without EDIT_RIGHT, and `NotPossible`.
    """
    require(holder, EDIT_RIGHT)
    letter = _open_letter(letter_id, "edited")
    before = (letter.edited_body, letter.address)
    _edit(letter, body, address)
    letter.save(update_fields=["edited_body", "edited_exchange", "edited_routing_key"])
    if (letter.edited_body, letter.address) != before or body is not None:
        _remember(letter, What.EDITED, by=by, note=_edit_note(letter))
    return letter


@transaction.atomic
def dead_letter_discard(*, letter_id: int, reason: str, by: str) -> DeadLetter:
    """Decide that a dead letter will not be handled. It stays readable. Raises `NotPossible`."""
    letter = _open_letter(letter_id, "discarded")
    _decide(letter, State.DISCARDED, What.DISCARDED, by=by, reason=reason)
    return letter


@transaction.atomic
def dead_letter_reopen(*, letter_id: int, by: str) -> DeadLetter:
    """Undo a decision to discard the letter, or a replay into a queue that was purged. Raises `NotPossible`.

    A replayed event that was handled is not handled twice.
    """
    letter = DeadLetter.objects.select_for_update(no_key=True).get(pk=letter_id)
    if letter.state == State.OPEN:
        raise NotPossible("the dead letter is open already")
    _decide(letter, State.OPEN, What.REOPENED, by=by)
    return letter


def preview(letter: DeadLetter, body: str, address: tuple[str, str] | None = None) -> Preview:
    """What a replay of the letter with these edits would do. Saves nothing. Raises `NotPossible` for invalid edits."""
    _edit(letter, body, address)
    queues = [letter.queue] if goes_by_name(letter) else addresses.receivers(letter.address)
    nowhere = "" if queues else f"no queue of CoolThing receives messages that are published as {letter.address}"
    refusals = (_refusal_of(letter, queue) for queue in queues)
    refusal = _address_refusal(letter) or nowhere or next(filter(None, refusals), "")
    sent = check_body(letter, body)
    return Preview(sent, difference(letter.body, sent), refusal, letter.address, queues)


def _edit(letter: DeadLetter, body: str | None, address: tuple[str, str] | None) -> None:
    if letter.task:
        raise NotPossible("the arguments of a task are ids and cannot be edited: replay or discard the dead letter")
    if body is not None:
        edited = check_body(letter, body)
        # If workers do not support the original's version, the same body without that version is a different message.
        letter.edited_body = edited if _version_refusal(letter) or difference(letter.body, edited) else ""
    if address is not None:
        chosen = UNCHANGED if address == (letter.exchange, letter.routing_key) else Address(*address)
        if chosen != UNCHANGED and (problem := addresses.refusal(chosen)):
            raise NotPossible(problem)
        letter.edited_exchange, letter.edited_routing_key = chosen
    if letter.is_readdressed and (problem := addresses.difference_from_body(letter.address, letter.body_to_send)):
        raise NotPossible(problem)


def _edit_note(letter: DeadLetter) -> str:
    diff = difference(letter.body, letter.edited_body) if letter.edited_body else []
    readdressed = [f"published as {letter.address}"] if letter.is_readdressed else []
    return "\n".join([*readdressed, *diff]) or "changed back to the original message"


def _address_refusal(letter: DeadLetter) -> str:
    """Why a replay of the letter would reach no handler; "" if it would."""
    choose = "choose another exchange and routing key (Edit), or discard the dead letter"
    if letter.is_readdressed:
        return addresses.refusal(letter.address)
    if letter.queue in topology.TASKS and letter.task not in topology.TASKS[letter.queue]:
        return f"the message is for none of the tasks of {letter.queue}. If it is an event, {choose}"
    if letter.queue and not is_handled(letter.queue):
        return f"the queue {letter.queue} has no subscriber any more: {choose}"
    if not letter.queue and letter.exchange == topology.DEFAULT_EXCHANGE:
        return f"the message was published directly to {letter.routing_key}, which handles no events: {choose}"
    return ""


def _refusal_of(letter: DeadLetter, queue: str) -> str:
    """Why the queue's worker would refuse a replay of the letter; "" if it would not."""
    try:
        subscription = subscription_of(queue)
    except KeyError:
        return ""
    sent = _message(letter, uuid.uuid4())
    message = ReceivedMessage(
        queue, sent.exchange, sent.routing_key, sent.body.encode(), sent.headers, str(letter.event_id)
    )
    try:
        event_of(subscription, message)
    except UndecodableMessage as problem:
        return str(problem)
    return ""


def _version_refusal(letter: DeadLetter) -> str:
    try:
        check_version(letter.headers)
    except UndecodableMessage as problem:
        return str(problem)
    return ""


def _message(letter: DeadLetter, replay: uuid.UUID) -> OutboxEvent:
    by_name = goes_by_name(letter)
    return OutboxEvent(
        event_id=letter.event_id,
        service="admin",
        exchange=topology.TASKS_EXCHANGE if by_name else letter.address.exchange,
        routing_key=letter.queue if by_name else letter.address.routing_key,
        body=letter.body_to_send,
        headers=_replay_headers(letter, replay, by_name=by_name),
    )


def _replayed(letter: DeadLetter, replay: uuid.UUID, by: str) -> DeadLetterEntry:
    changed = ["with an edited body"] if letter.edited_body else []
    changed += [f"published as {letter.address}"] if letter.is_readdressed else []
    return DeadLetterEntry(letter=letter, what=What.REPLAYED, by=by[:150], note=", ".join(changed), replay=replay)


def _replay_headers(letter: DeadLetter, replay: uuid.UUID, *, by_name: bool) -> dict[str, Any]:
    headers = {name: value for name, value in letter.headers.items() if not name.startswith(_BROKER_HEADERS)}
    if letter.task:
        # With its old expiry the message would be dropped at once.
        headers |= dict.fromkeys(_TIME_HEADERS, None)
    if letter.edited_body or letter.is_readdressed:
        headers.pop(topology.VERSION_HEADER, None)
    headers |= {topology.EVENT_ID_HEADER: str(letter.event_id), topology.REPLAY_HEADER: str(replay)}
    if by_name or letter.is_readdressed:
        headers |= {
            topology.ORIGINAL_EXCHANGE_HEADER: letter.address.exchange,
            topology.ORIGINAL_ROUTING_KEY_HEADER: letter.address.routing_key,
        }
    return headers


def _open_letter(letter_id: int, verb: str) -> DeadLetter:
    letter = DeadLetter.objects.select_for_update(no_key=True).get(pk=letter_id)
    if reason := _closed(letter, verb):
        raise NotPossible(reason)
    return letter


def _closed(letter: DeadLetter, verb: str) -> str:
    return "" if letter.state == State.OPEN else f"the dead letter is {letter.state} already and cannot be {verb}"


def _decide(
    letter: DeadLetter, state: DeadLetter.State, what: DeadLetterEntry.What, *, by: str, reason: str = ""
) -> None:
    letter.state, letter.decided_by, letter.decision_reason = state, by[:150], reason[:200]
    letter.save(update_fields=["state", "decided_by", "decision_reason"])
    _remember(letter, what, by=by, note=reason)


def _remember(letter: DeadLetter, what: DeadLetterEntry.What, *, by: str, note: str = "") -> None:
    DeadLetterEntry.objects.create(letter=letter, what=what, by=by[:150], note=note)
    log.info("dead letter %s (event %s) is %s by %s", letter.pk, letter.event_id, what.label.lower(), by)
