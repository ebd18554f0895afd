"""From a message in a watched chat to hits and their events."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from uuid import UUID

from django.db import IntegrityError, connection, transaction

from bots.selectors import is_own_account
from campaigns.policy.locks import erasures_lock_shared
from campaigns.suppressions.lookup import is_erased
from campaigns.suppressions.recording import erased_resolve
from campaigns.suppressions.registry import Seen
from messaging.publishing.outbox import publish_on_commit
from parser.comments import is_comment, posts_known, posts_record
from parser.eligibility import ReadOutcome, outcome_of, why_no_hit
from parser.hit_events import hit_event
from parser.memory import Memory, Reason, memory_now
from parser.models import Hit, WatchedChat
from parser.repeats import first_hit, is_repeat, repeat_record, text_key
from parser.second_look.recording import hits_look
from parser.selectors import campaigns_watching
from parser.tallies import ReadCounts
from telegram.types import IncomingMessage, is_supergroup

# One look-up in the index `hits_of_username` for each name.
_LAST_UNDER_A_NAME = """
    SELECT wanted.name, hit.telegram_user_id, hit.said_at FROM unnest(%s::text[]) AS wanted (name)
    CROSS JOIN LATERAL (
        SELECT telegram_user_id, said_at FROM parser_hit
        WHERE LOWER(username) = wanted.name AND username <> '' ORDER BY said_at DESC LIMIT 1
    ) AS hit
"""


@transaction.atomic
def messages_match(*, messages: Mapping[UUID, Sequence[IncomingMessage]], edited: bool = False) -> list[Hit]:
    """Record the hits among the messages that these bots have read; see `message_match`. Returns the new hits.

    Messages that match no keyword of any campaign cost two statements together.
    """
    memory, counts = memory_now(), ReadCounts()
    everything = [(bot_id, message) for bot_id, read in messages.items() for message in read]
    in_groups = [each for bot_id, each in everything if (bot_id, each.peer_id) in memory.comments]
    posts_record(in_groups)
    posts = posts_known(in_groups)
    hits: list[Hit] = []
    for bot_id, message in everything:
        if not memory.watched(bot_id, message.peer_id):
            continue
        outcome, campaign_ids = _campaigns_for(memory, bot_id, message, posts)
        counts.add(bot_id, message, outcome)
        if outcome == ReadOutcome.COMPARED and memory.match(message.text, campaign_ids):
            hits += message_match(bot_id=bot_id, message=message, edited=edited)
    if not edited:
        counts.save()
    return hits


def _campaigns_for(
    memory: Memory, bot_id: UUID, message: IncomingMessage, posts: set[tuple[int, int]]
) -> tuple[ReadOutcome, frozenset[UUID]]:
    """What becomes of a message in a watched chat, and the campaigns whose keywords it is compared with."""
    outcome, campaigns = outcome_of(message), memory.watched(bot_id, message.peer_id)
    if outcome == ReadOutcome.COMPARED and memory.comments and (message.peer_id, message.thread_id) not in posts:
        campaigns -= memory.comments.get((bot_id, message.peer_id), frozenset())
        outcome = outcome if campaigns else ReadOutcome.NO_COMMENT
    if outcome == ReadOutcome.COMPARED and memory.rules:
        campaigns &= memory.in_topic(bot_id, message)
        outcome = outcome if campaigns else ReadOutcome.TOPIC
    return outcome, campaigns


@transaction.atomic
def message_match(*, bot_id: UUID, message: IncomingMessage, edited: bool = False) -> list[Hit]:
    """Record a hit and its event for every campaign whose keywords match this message. Returns the new hits.

    `edited`: the message was read before, and its text has changed since.

    A campaign's second look may hold the event back (`parser.second_look`).

    There are no hits for messages for which `why_no_hit` returns a reason, for messages of the team's own accounts, and
    for messages of people whose data was erased.
    """
    author = message.from_user_id
    if author is None or why_no_hit(message):
        return []
    watches = campaigns_watching(bot_id=bot_id, telegram_id=message.peer_id, sent_at=message.sent_at)
    if not watches or is_own_account(telegram_user_id=author, username=message.from_username):
        return []
    found = _matching(_taking(watches, message), message.text)
    if not found:
        return []
    erasures_lock_shared()
    # A suppression of the username gets the person's id when the event is handled. That ends conversations, whose locks
    # must not be taken during the recording of other people's messages.
    erased_resolve(telegram_user_id=author, username=message.from_username)
    if is_erased(telegram_user_id=author):
        return []
    hits = [hit for watch, reasons in found if (hit := _hit_record(watch, message, author, reasons, edited))]
    publish_on_commit(*map(hit_event, hits_look(hits=hits)))
    return hits


def _taking(watches: Sequence[WatchedChat], message: IncomingMessage) -> list[WatchedChat]:
    """The watches that read this message: one of each campaign, the chat's own before that of its channel."""
    own = {watch.campaign_id: watch for watch in watches if not watch.is_of_discussion(message.peer_id)}
    others = {watch.campaign_id: watch for watch in watches if watch.campaign_id not in own}
    commented = list(others.values()) if others and is_comment(message) else []
    return [watch for watch in [*own.values(), *commented] if watch.takes(message.topic_id)]


def _matching(watches: Sequence[WatchedChat], text: str) -> list[tuple[WatchedChat, list[Reason]]]:
    """The watches whose campaign has a keyword for this text, with the reasons for the hit."""
    memory = memory_now()
    keywords = memory.match(text, [watch.campaign_id for watch in watches])
    return [
        (watch, memory.reasons(text, watch.campaign_id, keywords[watch.campaign_id]))
        for watch in watches
        if watch.campaign_id in keywords
    ]


def _hit_record(
    watch: WatchedChat, message: IncomingMessage, author: int, reasons: Sequence[Reason], edited: bool
) -> Hit | None:
    """The new hit. None if this message, or another message of its album, is already a hit of the campaign.

    A message with the text of a hit by the same person in another chat is counted with that hit.
    """
    at = (message.edited_at if edited else None) or message.sent_at
    place = {"peer_id": message.peer_id, "message_id": message.message_id}
    once = place if message.grouped_id is None else {"grouped_id": message.grouped_id}
    where = {"campaign_id": watch.campaign_id, "bot_id": watch.bot_id, "chat": watch.chat, **once}
    if Hit.objects.filter(**where).exists() or _is_hit(watch, message):
        return None
    key = text_key(message.text)
    first = first_hit(watch=watch, author=author, key=key, at=at)
    if first is not None and first.chat_id != watch.chat_id:
        repeat_record(hit=first, watch=watch, message=message)
        return None
    facts = {
        **where,
        **place,
        "telegram_user_id": author,
        "username": message.from_username,
        "topic_id": message.topic_id,
        "text": message.text,
        "text_key": key if first is None else None,
        "keyword": reasons[0]["term"],
        "reasons": list(reasons),
        "said_at": at,
        "from_edit": edited,
    }
    try:
        with transaction.atomic():
            return Hit.objects.create(**facts)
    except IntegrityError:
        # Another process has just recorded the same text.
        first = first_hit(watch=watch, author=author, key=key, at=at)
        if first is None or first.chat_id == watch.chat_id:
            raise
        repeat_record(hit=first, watch=watch, message=message)
        return None


def _is_hit(watch: WatchedChat, message: IncomingMessage) -> bool:
    """Whether a message that was read before is a hit, or repeats one.

    In a supergroup the account that watched the chat before may have recorded the hit.
    """
    hits = Hit.objects.filter(campaign_id=watch.campaign_id, peer_id=message.peer_id, message_id=message.message_id)
    return (is_supergroup(message.peer_id) and hits.exists()) or is_repeat(watch=watch, message=message)


def people_last_seen(usernames: Collection[str]) -> Iterator[Seen]:
    """The person who wrote the latest hit under each of these usernames (without @, in lower case)."""
    with connection.cursor() as cursor:
        cursor.execute(_LAST_UNDER_A_NAME, [list(usernames)])
        for name, user_id, said_at in cursor.fetchall():
            yield Seen(name, user_id, said_at)
