"""The second look at new hits, in the transaction that records them."""

from collections.abc import Sequence
from datetime import datetime

from messaging.database.clock import database_clock
from messaging.publishing.celery_tasks import send_on_commit
from parser.models import Hit, HitLook, SecondLook
from parser.second_look.llm_jobs import LOOK_TASK
from parser.second_look.rules import rules_apply

State, Judge = HitLook.State, HitLook.Judge


def hits_look(*, hits: Sequence[Hit]) -> list[Hit]:
    """Apply the campaigns' rules to these new hits, and return the hits to report now, in their order.

    These are hits of campaigns without a second look, and hits that pass the rules of a campaign that does not ask the
    LLM. The others get their event when the LLM or an operator lets them through.
    """
    campaigns = {hit.campaign_id for hit in hits}
    chosen = SecondLook.objects.filter(campaign_id__in=campaigns, enabled=True) if campaigns else ()
    settings = {each.campaign_id: each for each in chosen}
    if not settings:
        return list(hits)
    now = database_clock()
    return [
        hit
        for hit in hits
        if hit.campaign_id not in settings or _look(hit, settings[hit.campaign_id], now).state == State.PASSED
    ]


def _look(hit: Hit, settings: SecondLook, now: datetime) -> HitLook:
    outcome = rules_apply(settings=settings, hit=hit, now=now)
    look = HitLook(
        hit=hit, campaign_id=hit.campaign_id, digest=outcome.fingerprint.digest, simhash=outcome.fingerprint.simhash
    )
    if outcome.rule:
        look.state, look.judge, look.decided_at = State.REJECTED, Judge.RULES, now
        look.rule, look.reason = outcome.rule, outcome.reason
    elif settings.use_llm:
        look.state, look.due_at, look.dispatched_at = State.DUE, now, now
        send_on_commit(LOOK_TASK, str(hit.pk))
    else:
        look.state, look.judge, look.decided_at = State.PASSED, Judge.RULES, now
    look.save(force_insert=True)
    return look
