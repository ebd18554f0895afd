"""What operators change, and what the gate therefore reads. Each closes its fence first: when it returns, every message
not yet claimed is judged by the new rule."""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from campaigns import fences, suppressions
from campaigns.models import Budget, Campaign, Chat, ChatPermission, Suppression
from campaigns.selectors import plain_username
from campaigns.suppressions import Silenced


class NotPossible(Exception):
    """The object's state does not allow this; the text tells an operator why."""


_MOVES = {
    Campaign.State.RUNNING: {Campaign.State.DRAFT, Campaign.State.PAUSED},
    Campaign.State.PAUSED: {Campaign.State.RUNNING},
    Campaign.State.FINISHED: {Campaign.State.DRAFT, Campaign.State.RUNNING, Campaign.State.PAUSED},
}


def campaign_start(*, campaign_id: UUID) -> Campaign:
    return _campaign_move(campaign_id, Campaign.State.RUNNING)


def campaign_pause(*, campaign_id: UUID) -> Campaign:
    """From its return on nothing of the campaign is claimed; what was claimed before is still leaving
    (`bots.deliveries.deliveries_leaving`)."""
    return _campaign_move(campaign_id, Campaign.State.PAUSED)


def campaign_resume(*, campaign_id: UUID) -> Campaign:
    return _campaign_move(campaign_id, Campaign.State.RUNNING)


def campaign_finish(*, campaign_id: UUID) -> Campaign:
    """For good: what is still queued is refused."""
    return _campaign_move(campaign_id, Campaign.State.FINISHED)


@transaction.atomic
def _campaign_move(campaign_id: UUID, state: Campaign.State) -> Campaign:
    """Doing it twice is no error."""
    campaign = Campaign.objects.select_for_update().get(id=campaign_id)
    if campaign.state == state:
        return campaign
    if campaign.state not in _MOVES[state]:
        raise NotPossible(f"Campaign {campaign} is {campaign.state}: it cannot become {state}.")
    campaign.state = state
    campaign.save(update_fields=["state"])
    fences.rules_changed()
    return campaign


@transaction.atomic
def permission_grant(
    *, chat_id: UUID, purpose: ChatPermission.Grant, granted_by: str, evidence: str, granted_at: datetime | None = None
) -> ChatPermission:
    """Put the owner's permission on record; one in force already is returned as it is."""
    Chat.objects.select_for_update().get(id=chat_id)
    permission, _ = ChatPermission.objects.get_or_create(
        chat_id=chat_id,
        purpose=purpose,
        revoked_at=None,
        defaults={"granted_by": granted_by, "evidence": evidence, "granted_at": granted_at or timezone.now()},
    )
    fences.rules_changed()
    return permission


@transaction.atomic
def permission_revoke(*, chat_id: UUID, purpose: ChatPermission.Grant, now: datetime | None = None) -> int:
    """Returns how many permissions it ended (0 or 1)."""
    Chat.objects.select_for_update().get(id=chat_id)
    in_force = ChatPermission.objects.filter(chat_id=chat_id, purpose=purpose, revoked_at__isnull=True)
    ended = in_force.update(revoked_at=now or timezone.now())
    fences.rules_changed()
    return ended


@transaction.atomic
def suppression_add(
    *, telegram_user_id: int | None, username: str = "", source: Suppression.Source, reason: str = ""
) -> Suppression:
    """Nobody writes to this person again, and what the rooms above do about it is done (`campaigns.suppressions`).

    Idempotent; give both the id and the username when both are known. The caller holds no lock that comes after
    those of the rooms above.
    """
    name = plain_username(username)
    if telegram_user_id is None and not name:
        raise ValueError("A suppression needs a Telegram id or a username.")
    silenced = Silenced(telegram_user_id, name, Suppression.Source(source), reason)
    suppressions.lock_all(silenced)
    fences.suppressions_close()
    suppression = _suppression_put(telegram_user_id, name, {"source": source, "reason": reason[:300]})
    suppressions.follow_all(silenced)
    return suppression


def _suppression_put(telegram_user_id: int | None, name: str, facts: dict[str, str]) -> Suppression:
    if telegram_user_id is None:
        by_name, _ = Suppression.objects.get_or_create(
            telegram_user_id=None, username__iexact=name, defaults={"username": name, **facts}
        )
        return by_name
    by_id, created = Suppression.objects.get_or_create(
        telegram_user_id=telegram_user_id, defaults={"username": name, **facts}
    )
    if not created and name and plain_username(by_id.username) != name:
        by_id.username = name
        by_id.save(update_fields=["username"])
    return by_id


@transaction.atomic
def budget_set(
    *,
    scope: Budget.Scope,
    limit: int,
    window_seconds: int,
    key: str = "",
    purpose: str = "",
    counts: Budget.Counts = Budget.Counts.MESSAGES,
) -> Budget:
    budget, _ = Budget.objects.update_or_create(
        scope=scope, key=key, purpose=purpose, counts=counts, window_seconds=window_seconds, defaults={"limit": limit}
    )
    fences.rules_changed()
    return budget
