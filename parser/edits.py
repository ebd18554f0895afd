"""Edits of messages that were no hits: for some time after a message was sent, its edited text is compared once more.

The author of a message may add what was missing. The message becomes a hit only if it is none of the campaign yet,
however often it is edited.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from bots.models import Cursor
from campaigns.policy.locks import erasures_lock_shared
from parser.eligibility import why_no_hit
from parser.services import messages_match
from telegram.types import IncomingMessage, MessageNow

# An edit that is made later is usually a correction of something that nobody answers any more.
EDITED_WITHIN = timedelta(hours=48)
# Telegram's times are whole seconds by its own clock.
CLOCK_MARGIN = timedelta(seconds=5)


def edits_match(*, bot_id: UUID, changes: Sequence[MessageNow]) -> list[MessageNow]:
    """Compare the edited texts among these changes with the keywords of the campaigns that watch the chats.

    Only messages that the bot has read are compared: the others are read later, with their edited text, and messages
    from before the bot began to read the chat are never read. Returns the changes that were not compared.
    """
    edited = [change.message for change in changes if change.message is not None and _counts(change.message)]
    if not edited:
        return list(changes)
    with transaction.atomic():
        # This must be the transaction's first lock.
        erasures_lock_shared()
        read = _read_by(bot_id, edited)
        messages_match(messages={bot_id: read}, edited=True)
    return [change for change in changes if change.message not in read]


def _counts(message: IncomingMessage) -> bool:
    in_time = message.edited_at is not None and message.edited_at - message.sent_at <= EDITED_WITHIN
    return in_time and not message.service and not why_no_hit(message)


def _read_by(bot_id: UUID, messages: Sequence[IncomingMessage]) -> list[IncomingMessage]:
    """The messages that the bot has read since it began to read their chats."""
    peers = {message.peer_id for message in messages}
    cursors = Cursor.objects.filter(bot_id=bot_id, peer_id__in=peers)
    positions: dict[int, tuple[int, datetime]] = {
        cursor.peer_id: (cursor.last_message_id, cursor.started_at - CLOCK_MARGIN) for cursor in cursors
    }
    return [
        message
        for message in messages
        if (position := positions.get(message.peer_id)) is not None
        and message.message_id <= position[0]
        and message.sent_at >= position[1]
    ]
