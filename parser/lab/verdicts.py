"""Verdicts on hits, and which hit is judged next."""

from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from messaging.database.locks import rows_change
from parser.models import GoldenText, Hit, Verdict


@transaction.atomic
def verdict_set(*, hit_id: UUID, value: str, by: str) -> Verdict | None:
    """Record the verdict, in place of an earlier one. Returns None if the hit was erased meanwhile.

    A golden text that an earlier verdict on this text has made gets the new verdict's answer.
    """
    hit = Hit.objects.select_for_update(no_key=True, of=("self",)).filter(pk=hit_id).first()
    if hit is None:
        return None
    verdict, _ = Verdict.objects.update_or_create(hit=hit, defaults={"value": Verdict.Value(value), "by": by})
    made = GoldenText.objects.filter(campaign_id=hit.campaign_id, text=hit.text, source=GoldenText.Source.VERDICT)
    rows_change(made, wanted=value == Verdict.Value.GOOD)
    return verdict


@transaction.atomic
def verdict_withdraw(*, hit_id: UUID) -> bool:
    """Remove the verdict. Returns whether there was one. Golden texts stay."""
    Hit.objects.select_for_update(no_key=True, of=("self",)).filter(pk=hit_id).first()
    return bool(Verdict.objects.filter(hit_id=hit_id).delete()[0])


def hits_to_judge(*, campaign_id: UUID) -> QuerySet[Hit]:
    """The campaign's hits without a verdict, newest first."""
    return Hit.objects.filter(campaign_id=campaign_id, verdict__isnull=True).order_by("-created_at", "-pk")


def next_to_judge(*, campaign_id: UUID, after: Hit | None = None) -> Hit | None:
    """The newest hit without a verdict that is older than `after`, or else the newest of all."""
    waiting = hits_to_judge(campaign_id=campaign_id)
    older = waiting
    if after is not None:
        waiting = waiting.exclude(pk=after.pk)
        older = waiting.filter(Q(created_at__lt=after.created_at) | Q(created_at=after.created_at, pk__lt=after.pk))
    return older.first() or (waiting.first() if after is not None else None)
