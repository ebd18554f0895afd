"""The rules of the second look: each hit either breaks one, or passes them all."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from campaigns.identifiers import plain_username
from parser.models import Hit, HitLook, SecondLook
from parser.second_look.simhash import MOST_DIFFERING_BITS
from parser.second_look.texts import Fingerprint, fingerprint_of, links_in, words_of

Rule = HitLook.Rule

# How long a hit's text is compared with those of later hits.
COMPARED = timedelta(days=7)

_SAME_TEXT = "SELECT hit_id FROM parser_hitlook WHERE digest = %(digest)s AND created_at > %(since)s"
# The fingerprints are compared first, in their index alone: 20 to 30 ms for 200 000 of them. No banded index does
# better: with 12 differing bits of 64 only bands of four or five bits are sure to be equal, and these select nothing.
_SIMILAR_TEXT = """
    SELECT hit_id FROM parser_hitlook
    WHERE simhash IS NOT NULL AND created_at > %(since)s AND bit_count((simhash # %(simhash)s)::bit(64)) <= %(bits)s
"""
# The messages of a person who repeats a text in other chats belong to one hit.
_CHATS = """
    WITH alike AS MATERIALIZED ({alike})
    SELECT chat_id FROM parser_hit WHERE id IN (SELECT hit_id FROM alike)
    UNION SELECT chat_id FROM parser_hitrepeat WHERE hit_id IN (SELECT hit_id FROM alike)
"""


@dataclass(frozen=True)
class RulesOutcome:
    """What the rules found: the rule that the hit breaks and why, or "", and the fingerprint of its text."""

    rule: str
    reason: str
    fingerprint: Fingerprint


def rules_apply(*, settings: SecondLook, hit: Hit, now: datetime) -> RulesOutcome:
    """Apply the rules in their order: length, links, sender, advertisement."""
    words = words_of(hit.text)
    mark = fingerprint_of(words) if settings.advert_chats else Fingerprint(None, None)
    rule, reason = _length(settings, hit, len(words)) or _links(settings, hit) or _sender(settings, hit) or ("", "")
    if not rule and settings.advert_chats:
        rule, reason = _advert(settings, hit, mark, now)
    return RulesOutcome(rule, reason, mark)


def _length(settings: SecondLook, hit: Hit, words: int) -> tuple[str, str] | None:
    if words < settings.least_words:
        return Rule.TOO_SHORT, f"The message has {words} words, fewer than {settings.least_words}."
    if settings.most_characters and len(hit.text) > settings.most_characters:
        return Rule.TOO_LONG, f"The message has {len(hit.text)} characters, more than {settings.most_characters}."
    return None


def _links(settings: SecondLook, hit: Hit) -> tuple[str, str] | None:
    links = links_in(hit.text)
    if settings.most_links is None or links <= settings.most_links:
        return None
    return Rule.LINKS, f"The message has {links} links, more than {settings.most_links}."


def _sender(settings: SecondLook, hit: Hit) -> tuple[str, str] | None:
    name = plain_username(hit.username)
    blocked = set(settings.blocked_senders)
    if str(hit.telegram_user_id) in blocked or (name and f"@{name}" in blocked):
        return Rule.SENDER, "The campaign's second look blocks this sender."
    return None


def _advert(settings: SecondLook, hit: Hit, mark: Fingerprint, now: datetime) -> tuple[str, str]:
    chats = {hit.chat_id, *_chats_with(mark, now)}
    if len(chats) < settings.advert_chats:
        return "", ""
    return Rule.ADVERT, f"Nearly the same text was a hit in {len(chats)} chats within {COMPARED.days} days."


def _chats_with(mark: Fingerprint, now: datetime) -> set[object]:
    """The chats of earlier hits, of any campaign with a second look, with the same or a similar text."""
    if mark.simhash is None and mark.digest is None:
        return set()
    alike = _SAME_TEXT if mark.simhash is None else _SIMILAR_TEXT
    values = {
        "digest": mark.digest,
        "simhash": mark.simhash,
        "bits": MOST_DIFFERING_BITS,
        "since": now - COMPARED,
    }
    with connection.cursor() as cursor:
        cursor.execute(_CHATS.format(alike=alike), values)
        return {chat_id for (chat_id,) in cursor.fetchall()}
