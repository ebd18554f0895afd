from typing import Any, TypeVar
from uuid import UUID

from django.core.management.base import CommandError, CommandParser
from django.db.models import Model, QuerySet

from bots.admin.gate_preview import note_on, person_facts, sentence
from bots.gate.preview import GatePreview, delivery_preview, draft_for, draft_preview
from bots.models import Bot, Delivery
from campaigns.models import Campaign, Chat, Purpose
from vault.commands import SecretsCommand

Row = TypeVar("Row", bound=Model)


class Command(SecretsCommand):
    help = (
        "Show whether the gate would now allow a queued delivery, or a message that you describe. Nothing is sent, "
        "claimed or counted. The first line is the verdict; the other lines are further objections."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "delivery", nargs="?", type=UUID, help="the id of a queued delivery; without it, describe a message:"
        )
        parser.add_argument("--campaign", help="the campaign's slug")
        parser.add_argument("--bot", help="the bot's key")
        parser.add_argument("--chat", help="the chat's key")
        parser.add_argument("--person", help="Telegram id or @username")
        parser.add_argument("--purpose", choices=Purpose.values, help="default: script for a chat, reply for a person")
        parser.add_argument("--text", default="", help="for first contacts; default: the campaign's first message")

    def handle(self, *, delivery: UUID | None, **options: Any) -> None:
        answer = _about(delivery) if delivery is not None else _ask(**options)
        for verdict in answer.objections or [answer.verdict]:
            self.stdout.write(sentence(verdict))
        if note := note_on(answer):
            self.stdout.write(note)


def _about(delivery_id: UUID) -> GatePreview:
    try:
        return delivery_preview(delivery_id=delivery_id)
    except Delivery.DoesNotExist:
        raise CommandError(f"delivery {delivery_id} is not queued") from None


def _ask(
    *,
    campaign: str | None,
    bot: str | None,
    chat: str | None,
    person: str | None,
    purpose: str | None,
    text: str,
    **_: Any,
) -> GatePreview:
    if not campaign or not bot:
        raise CommandError("give a delivery's id, or --campaign and --bot with --chat or --person")
    if bool(chat) == bool(person):
        raise CommandError("give either --chat or --person")
    facts: dict[str, Any] = {
        "campaign": _named(Campaign.objects.all(), "slug", campaign),
        "bot": _named(Bot.objects.defer("phone", "api_hash", "proxy_url"), "key", bot),
        "purpose": purpose or (Purpose.REPLY if person else Purpose.SCRIPT),
    }
    facts |= _person(person) if person else {"chat": _named(Chat.objects.all(), "key", chat)}
    return draft_preview(draft=draft_for(text=text, **facts))


def _person(person: str) -> dict[str, Any]:
    try:
        return person_facts(person)
    except ValueError as problem:
        raise CommandError(str(problem)) from problem


def _named(rows: QuerySet[Row], field: str, name: str | None) -> Row:
    found = rows.filter(**{field: name}).first()
    if found is None:
        raise CommandError(f'no {rows.model._meta.verbose_name} is called "{name}"')
    return found
