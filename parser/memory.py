"""What a process knows about watches and keywords, so that a message that matches nothing costs no query of its own.

The memory may only be used to leave messages out: who may read what, and which campaigns run, is decided in the
database (`selectors.campaigns_watching`). It therefore covers all watches, also those that are not in force.
`memory_now` compares it with the database once in a transaction, by rows that triggers write (migration 0015) however a
keyword, a setting, a watch or a chat's id is changed. So it contains every change that was committed before.
"""

import logging
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TypedDict
from uuid import UUID

from django.db import connection
from django.db.models import Q

from parser.eligibility import TopicsRule, topic_taken
from parser.keywords.compiling import Term, compile_known_terms
from parser.keywords.explaining import TermMatch, matches_of
from parser.keywords.index import KeywordIndex
from parser.models import Keyword, WatchedChat
from parser.selectors import Content, matching_contents
from telegram.types import IncomingMessage

# Changes when a row is added; ids are never used twice. The aggregate is of a hundred rows.
_VERSION = "SELECT count(*), coalesce(sum(hashint8extended(id, 0)), 0) FROM parser_matchingchange"

Version = tuple[int, int]
# An account and a marked id of a chat.
Place = tuple[UUID, int]
# The topics of a forum that a watch reads.
Topics = tuple[TopicsRule, frozenset[int]]


log = logging.getLogger(__name__)

# The most places of a keyword that a hit's reasons contain.
_MOST_SPANS = 20


class Reason(TypedDict):
    """Why a keyword matched: the spans (start, end) in the text, and the rule in words."""

    term: str
    spans: Sequence[tuple[int, int]]
    rule: str


@dataclass(frozen=True)
class Memory:
    """The state of one moment. All memories of a process share `index`, which is as new as the newest of them."""

    version: Version
    watching: Mapping[Place, frozenset[UUID]]
    index: KeywordIndex[UUID]
    # Watches that leave out topics, by place and campaign.
    rules: Mapping[Place, Mapping[UUID, Topics]] = field(default_factory=dict)
    # Discussion groups, with the campaigns that watch only the comments there.
    comments: Mapping[Place, frozenset[UUID]] = field(default_factory=dict)

    def watched(self, bot_id: UUID, telegram_id: int) -> frozenset[UUID]:
        """The campaigns that watch the chat with this account, in force or not."""
        return self.watching.get((bot_id, telegram_id), frozenset())

    def in_topic(self, bot_id: UUID, message: IncomingMessage) -> frozenset[UUID]:
        """The campaigns that watch the chat, and the message's topic in it."""
        campaigns = self.watched(bot_id, message.peer_id)
        rules = self.rules.get((bot_id, message.peer_id))
        if not rules:
            return campaigns
        return frozenset(each for each in campaigns if each not in rules or topic_taken(*rules[each], message.topic_id))

    def match(self, text: str, campaign_ids: Collection[UUID]) -> dict[UUID, tuple[str, ...]]:
        """Those of the campaigns whose keywords match the text, each with the keywords that do, in their order."""
        return self.index.match(text, campaign_ids)

    def reasons(self, text: str, campaign_id: UUID, keywords: Collection[str]) -> list[Reason]:
        """Why the text matches these keywords of the campaign, in their order."""
        known = self.index.keywords(campaign_id)
        explained = matches_of(text, known, keywords) if known else {}
        matches = (explained.get(keyword) or TermMatch(keyword, (), "") for keyword in keywords)
        return [Reason(term=match.term, spans=match.spans[:_MOST_SPANS], rule=match.rule) for match in matches]


_lock = threading.Lock()
_NEVER: Version = (-1, 0)
_memory = Memory(_NEVER, {}, KeywordIndex())
# What `_memory.index` was made of.
_indexed: dict[UUID, Content] = {}


def memory_now() -> Memory:
    """The memory with all changes that were committed before this call. One query if nothing has changed.

    Call it in a transaction, before messages are left out.
    """
    global _memory
    version = _version()
    memory = _memory
    if memory.version == version:
        return memory
    with _lock:
        # What is read now may be newer than the version: then the next call reads it again.
        watching, rules, comments = _watching(), _rules(), _comments()
        _index_update(_memory.index, frozenset[UUID]().union(*watching.values()))
        _memory = Memory(version, watching, _memory.index, rules, comments)
        return _memory


def memory_prepare() -> None:
    """Make the memory if this process has none yet.

    This loads dictionaries, which takes a second or more: too long for a transaction that has cursors locked.
    """
    if _memory.version == _NEVER:
        memory_now()


def _version() -> Version:
    with connection.cursor() as cursor:
        cursor.execute(_VERSION)
        number, content = cursor.fetchone()
    return number, int(content)


def _watching() -> dict[Place, frozenset[UUID]]:
    found: dict[Place, set[UUID]] = {}
    rows = WatchedChat.objects.values_list(
        "bot_id", "next_bot_id", "campaign_id", "chat__telegram_id", "chat__upgraded_from_id", "chat__discussion_id"
    )
    for bot_id, next_id, campaign_id, *ids in rows:
        places = product(filter(None, (bot_id, next_id)), filter(None, ids))
        for place in places:
            found.setdefault(place, set()).add(campaign_id)
    return {place: frozenset(campaigns) for place, campaigns in found.items()}


def _comments() -> dict[Place, frozenset[UUID]]:
    found: dict[Place, set[UUID]] = {}
    whole: dict[Place, set[UUID]] = {}
    watches = WatchedChat.objects.select_related("chat")
    groups = set(watches.exclude(chat__discussion_id=None).values_list("chat__discussion_id", flat=True))
    if not groups:
        return {}
    for watch in watches.filter(Q(chat__discussion_id__in=groups) | Q(chat__telegram_id__in=groups)):
        for bot_id in filter(None, (watch.bot_id, watch.next_bot_id)):
            if watch.chat.discussion_id is not None:
                found.setdefault((bot_id, watch.chat.discussion_id), set()).add(watch.campaign_id)
            for telegram_id in watch.chat.telegram_ids & groups:
                whole.setdefault((bot_id, telegram_id), set()).add(watch.campaign_id)
    return {place: frozenset(campaigns - whole.get(place, set())) for place, campaigns in found.items()}


def _rules() -> dict[Place, dict[UUID, Topics]]:
    found: dict[Place, dict[UUID, Topics]] = {}
    for watch in WatchedChat.objects.exclude(topics_rule=TopicsRule.ALL).select_related("chat"):
        ids = (watch.chat.telegram_id, watch.chat.upgraded_from_id)
        for place in product(filter(None, (watch.bot_id, watch.next_bot_id)), filter(None, ids)):
            found.setdefault(place, {})[watch.campaign_id] = TopicsRule(watch.topics_rule), frozenset(watch.topics)
    return found


def _index_update(index: KeywordIndex[UUID], campaign_ids: Collection[UUID]) -> None:
    """Replace the keywords of the campaigns where they, or how they are compared, have changed."""
    contents = matching_contents(campaign_ids=campaign_ids)
    changed = [campaign_id for campaign_id, content in contents.items() if _indexed.get(campaign_id) != content]
    terms: dict[UUID, list[Term]] = {campaign_id: [] for campaign_id in changed}
    rows = Keyword.objects.filter(campaign_id__in=changed).order_by("id")
    for campaign_id, text, kind in rows.values_list("campaign_id", "text", "kind"):
        terms[campaign_id].append(Term(text, minus=kind == Keyword.Kind.MINUS))
    for campaign_id, found in terms.items():
        content = contents[campaign_id]
        _indexed[campaign_id] = content
        try:
            compiled = compile_known_terms(found, content.languages, ignore_diacritics=content.ignore_diacritics)
        except Exception:
            # Messages of other campaigns must not fail because of these keywords.
            log.exception("campaign %s keeps its former keywords in this process", campaign_id)
            continue
        index.put(campaign_id, compiled)
    for campaign_id in _indexed.keys() - contents.keys():
        index.remove(campaign_id)
        del _indexed[campaign_id]
