"""Writes the content of a seed file in one transaction."""

from collections.abc import Mapping
from typing import Any

from django.db import connection, transaction

from bots.models import Bot
from campaigns.chats.references import reference_change
from campaigns.models import Budget, Campaign, Chat, ChatPermission
from campaigns.permissions.services import permission_grant, permission_revoke
from campaigns.policy.notices import rules_changed
from coolthing_site.seeding import existing
from coolthing_site.seeding.keywords import write_keywords
from coolthing_site.seeding.problems import SeedError
from coolthing_site.seeding.report import Report
from coolthing_site.seeding.scripts import write_scripts
from coolthing_site.seeding.shape import (
    BotPart,
    BudgetPart,
    CampaignPart,
    ChannelPart,
    ChatPart,
    PermissionPart,
    SeedFile,
)
from coolthing_site.seeding.writing import drop, put
from leads.models import CampaignManager
from messaging.database.locks import rows_lock
from notifier.models import Channel, Rule
from parser.models import SecondLook, WatchedChat
from parser.watching.moves import CHOSEN_FIELDS, account_chosen
from scripts.models import Assignment

# The key of the advisory lock for one seeding at a time. No other lock of the database uses this number.
_SEEDING = 0x5EED_C0_01


def write(seed: SeedFile, *, file: str, dry_run: bool = False) -> Report:
    """Create and update the file's objects, and remove what their lists no longer contain. All or nothing.

    Objects that are not in the file, and assignments that were activated, are not changed. With `dry_run` nothing is
    changed, only reported. Raises SeedError if the file contradicts existing rows.
    """
    report = Report()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_SEEDING])
        found = existing.role_problems(seed)
        _lock_all(seed)
        found += existing.problems(seed)
        if found:
            raise SeedError(file, found)
        _write_all(seed, report)
        if dry_run:
            transaction.set_rollback(True)
        elif not report.changes_nothing:
            rules_changed()
    return report


def _lock_all(seed: SeedFile) -> None:
    """Lock the file's existing rows before any of them is written.

    The file's order differs from the order of locks (docs/architecture.md), and other processes use these rows.
    """
    slugs = [part.slug for part in seed.campaigns]
    rows_lock(Campaign.objects.filter(slug__in=slugs))
    rows_lock(Assignment.objects.filter(campaign__slug__in=slugs))
    rows_lock(Chat.objects.filter(key__in=[part.key for part in seed.chats]))
    rows_lock(Bot.objects.filter(key__in=[part.key for part in seed.bots]))
    if seed.budgets:
        rows_lock(Budget.objects.all())


def _write_all(seed: SeedFile, report: Report) -> None:
    bots = {part.key: _bot(report, part) for part in seed.bots}
    chats = {part.key: _chat(report, part) for part in seed.chats}
    campaigns = {part.slug: _campaign(report, part) for part in seed.campaigns}
    for part in seed.campaigns:
        campaign = campaigns[part.slug]
        write_keywords(report, campaign, part)
        _second_look(report, campaign, part)
        _watches(report, campaign, part, bots, chats)
        _managers(report, campaign, part, bots)
        write_scripts(report, campaign, part, bots, chats)
    named: dict[str, Mapping[str, Bot | Chat | Campaign]] = {"bot": bots, "chat": chats, "campaign": campaigns}
    for budget in seed.budgets:
        _budget(report, budget, named.get(budget.scope, {}))
    for channel in seed.notifier.channels:
        _channel(report, channel)


def _bot(report: Report, part: BotPart) -> Bot:
    values = part.model_dump(exclude={"key"})
    return put(report, Bot, {"key": part.key}, values, name=part.key)


def _chat(report: Report, part: ChatPart) -> Chat:
    values: dict[str, Any] = {"label": part.label}
    if part.title:
        values["title"] = part.title
    moved = Chat.objects.filter(key=part.key).exclude(reference=part.telegram).first()
    if moved is not None:
        # A new reference to the same chat. An account will confirm it, or find that it leads to another chat.
        reference_change(chat_id=moved.pk, reference=part.telegram)
    written, at_first = ["reference"] if moved is not None else [], {"reference": part.telegram}
    chat = put(report, Chat, {"key": part.key}, values, name=part.key, at_first=at_first, written=written)
    for permission in part.permissions:
        _permission(report, chat, permission)
    gone = chat.permissions.filter(revoked_at__isnull=True).exclude(purpose__in=[p.purpose for p in part.permissions])
    for row in gone:
        report.add("removed", "chat permission", f"{part.key}: {row.purpose}", "revoked now")
        reason = "No longer in the seed file."
        permission_revoke(chat_id=chat.pk, purpose=ChatPermission.Grant(row.purpose), reason=reason)
    return chat


def _permission(report: Report, chat: Chat, part: PermissionPart) -> None:
    """Write a permission, unless a newer one is on record or the latest one was revoked after it was granted.

    Seeding never changes whether a permission is suspended.
    """
    name = f"{chat.key}: {part.purpose}"
    Chat.objects.select_for_update().get(pk=chat.pk)
    given = chat.permissions.filter(purpose=part.purpose)
    on_record = given.filter(revoked_at__isnull=True).first()
    facts = part.model_dump(exclude={"purpose"}, exclude_unset=True)
    if on_record is None:
        latest = given.filter(revoked_at__gt=part.granted_at).order_by("-revoked_at").first()
        if latest is not None:
            report.add(
                "kept", "chat permission", name, f"revoked on {latest.revoked_at:%Y-%m-%d}, after it was granted"
            )
            return
    elif on_record.granted_at > part.granted_at:
        report.add(
            "kept", "chat permission", name, f"a newer permission of {on_record.granted_at:%Y-%m-%d} is on record"
        )
        return
    elif on_record.granted_at < part.granted_at:
        report.add("updated", "chat permission", name, "granted again")
        permission_grant(chat_id=chat.pk, purpose=ChatPermission.Grant(part.purpose), **facts)
        return
    elif "valid_until" in facts and facts["valid_until"] != on_record.valid_until:
        # The stages of the new expiry are to be reported again.
        chat.permissions.filter(pk=on_record.pk).update(expiry_told=None)
    where = {"chat": chat, "purpose": part.purpose, "revoked_at": None}
    put(report, ChatPermission, where, facts, name=name)


def _campaign(report: Report, part: CampaignPart) -> Campaign:
    quiet = part.quiet_hours
    values = {
        "name": part.name,
        "time_zone": part.time_zone,
        "locale": part.locale,
        "quiet_from": quiet.start if quiet else None,
        "quiet_to": quiet.end if quiet else None,
        "first_contact_interval_seconds": part.first_contact_interval_seconds,
        "first_contact_horizon_hours": part.first_contact_horizon_hours,
        "cool_down_days": part.cool_down_days,
        "reply_quiet_seconds": part.reply_quiet_seconds,
        "first_contact_template": part.first_contact,
        "llm_model": part.llm.model,
        "llm_brief": part.llm.brief,
    }
    return put(report, Campaign, {"slug": part.slug}, values, name=part.slug, at_first={"state": part.state})


def _second_look(report: Report, campaign: Campaign, part: CampaignPart) -> None:
    """A file without these settings leaves those of the panel."""
    if part.second_look is None:
        return
    values = part.second_look.model_dump() | {"use_llm": bool(part.second_look.instructions)}
    values["blocked_senders"] = list(part.second_look.blocked_senders)
    put(report, SecondLook, {"campaign": campaign}, values, name=campaign.slug)


def _watches(
    report: Report, campaign: Campaign, part: CampaignPart, bots: Mapping[str, Bot], chats: Mapping[str, Chat]
) -> None:
    kept = []
    for watch in part.watches:
        for key in watch.chats:
            where = {"campaign": campaign, "chat": chats[key]}
            values = _account_of(campaign, chats[key], bots[watch.bot])
            kept.append(put(report, WatchedChat, where, values, name=f"{campaign.slug}: {key}").pk)
    drop(report, campaign.watched_chats.exclude(pk__in=kept), name=f"{campaign.slug}: {{}}")


def _account_of(campaign: Campaign, chat: Chat, bot: Bot) -> dict[str, Any]:
    """The values of a watched chat with this account. Another account than the stored one ends a move of the chat."""
    stored = WatchedChat.objects.filter(campaign=campaign, chat=chat).first()
    if stored is None or stored.bot_id == bot.pk:
        return {"bot": bot}
    stored.bot = bot
    account_chosen(stored)
    return {name: getattr(stored, name) for name in CHOSEN_FIELDS}


def _managers(report: Report, campaign: Campaign, part: CampaignPart, bots: Mapping[str, Bot]) -> None:
    kept = []
    for key in part.managers:
        where = {"campaign": campaign, "bot": bots[key]}
        kept.append(put(report, CampaignManager, where, {}, name=f"{campaign.slug}: {key}").pk)
    drop(report, campaign.managers.exclude(pk__in=kept), name="{}")


def _budget(report: Report, part: BudgetPart, named: Mapping[str, Bot | Chat | Campaign]) -> None:
    where = {
        "scope": part.scope,
        "key": str(named[part.key].pk) if part.key in named else part.key,
        "purpose": part.purpose or "",
        "counts": part.counts,
        "window_seconds": part.window_seconds,
    }
    counted = "new contacts" if part.counts == "new_contacts" else ""
    name = " ".join(filter(None, [part.scope, part.key, part.purpose, counted, f"in {part.window_seconds} s"]))
    put(report, Budget, where, {"limit": part.limit}, name=name)


def _channel(report: Report, part: ChannelPart) -> None:
    values = part.model_dump(include={"kind", "address", "enabled"})
    channel = put(report, Channel, {"name": part.name}, values, name=part.name)
    kept = []
    for pattern in part.events:
        where = {"channel": channel, "pattern": pattern}
        kept.append(put(report, Rule, where, {}, name=f"{part.name}: {pattern}").pk)
    drop(report, channel.rules.exclude(pk__in=kept), name="{}")
