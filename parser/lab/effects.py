"""What a change of the keywords would do, before it is saved: on stored hits and on the golden set."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from parser.lab.golden import GoldenChange, golden_change
from parser.lab.keyword_lists import KeywordList
from parser.lab.trying import Trial
from parser.models import Hit, Verdict, WatchedChat

# So many of the campaign's newest hits are read, and so many hits of other campaigns in the chats that it watches. Only
# messages that were hits of some campaign are stored.
MOST_OWN_HITS = 3000
MOST_OTHER_HITS = 2000
NO_VERDICT = "no verdict"


@dataclass(frozen=True)
class ChangeEffect:
    """`lost` are stored hits that the new keywords no longer match, `gained` those that only the new ones match.

    If several campaigns have found a message, one of the hits counts. `read` is the number of messages that were tried.
    """

    read: int
    lost: Sequence[Hit]
    gained: Sequence[Hit]
    golden: GoldenChange

    @property
    def lost_by_verdict(self) -> list[tuple[str, int]]:
        return Counter(verdict_name(hit) for hit in self.lost).most_common()


def verdict_name(hit: Hit) -> str:
    verdict: Verdict | None = getattr(hit, "verdict", None)
    return verdict.get_value_display() if verdict is not None else NO_VERDICT


def change_effect(*, campaign_id: UUID, before: KeywordList, after: KeywordList) -> ChangeEffect:
    hits = _stored(campaign_id)
    old, new = (Trial(keywords, campaign_id=campaign_id) for keywords in (before, after))
    answers = [(hit, old.hit(hit.text), new.hit(hit.text)) for hit in hits]
    return ChangeEffect(
        read=len(hits),
        lost=[hit for hit, was, now in answers if was and not now],
        gained=[hit for hit, was, now in answers if now and not was],
        golden=golden_change(campaign_id=campaign_id, before=before, after=after),
    )


def _stored(campaign_id: UUID) -> list[Hit]:
    """The campaign's newest hits, then those of other campaigns in the chats that it watches; each message once."""
    hits = Hit.objects.select_related("verdict", "chat", "campaign").order_by("-created_at")
    own = list(hits.filter(campaign_id=campaign_id)[:MOST_OWN_HITS])
    watched = WatchedChat.objects.filter(campaign_id=campaign_id).values("chat_id")
    others = hits.filter(chat_id__in=watched).exclude(campaign_id=campaign_id)
    found: dict[tuple[int, int], Hit] = {}
    for hit in [*own, *others[:MOST_OTHER_HITS]]:
        found.setdefault((hit.peer_id, hit.message_id), hit)
    return list(found.values())
