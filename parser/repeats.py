"""The same text by the same person in several chats: one hit, with the other messages counted."""

import re
from datetime import datetime, timedelta
from hashlib import blake2b

from parser.models import Hit, HitRepeat, WatchedChat
from telegram.types import IncomingMessage
from texts.words.folding import fold

# A person who asks again after this time asks anew.
WITHIN = timedelta(days=7)


def text_key(text: str) -> int:
    """A number of 64 bits for the text: equal for texts with the same words, whatever the case and punctuation."""
    folded = fold(text)
    words = " ".join(re.findall(r"\w+", folded)) or " ".join(folded.split())
    return int.from_bytes(blake2b(words.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big", signed=True)


def first_hit(*, watch: WatchedChat, author: int, key: int, at: datetime) -> Hit | None:
    """The campaign's hit with this text of this person, if it is recent; then a message at `at` repeats it.

    An older hit lets its key go, so that the message at `at` can become a hit with this key.
    """
    hit = Hit.objects.filter(campaign_id=watch.campaign_id, telegram_user_id=author, text_key=key).first()
    if hit is not None and abs(at - hit.said_at) > WITHIN:
        Hit.objects.filter(pk=hit.pk).update(text_key=None)
        return None
    return hit


def repeat_record(*, hit: Hit, watch: WatchedChat, message: IncomingMessage) -> None:
    """Record that this message in another chat repeats the hit. A known repeat has no effect."""
    HitRepeat.objects.get_or_create(
        hit=hit,
        chat=watch.chat,
        peer_id=message.peer_id,
        message_id=message.message_id,
        defaults={"said_at": message.sent_at},
    )


def is_repeat(*, watch: WatchedChat, message: IncomingMessage) -> bool:
    """Whether the message is recorded as a repeat of one of the campaign's hits."""
    there = HitRepeat.objects.filter(message_id=message.message_id, peer_id=message.peer_id, chat=watch.chat)
    return there.filter(hit__campaign_id=watch.campaign_id).exists()
