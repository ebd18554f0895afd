"""An account with conversations stays a manager: no other role's handler hears a STOP."""

import io
from pathlib import Path

import pytest
import yaml
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import Client
from django.urls import reverse

from bots.accounts.role_changes import role_change
from bots.models import Bot, Role
from leads.locks import managers_lock
from leads.models import Conversation
from panelkit.errors import NotPossible
from tests.integration.leads_world import World
from tests.integration.locks import in_thread, somebody_waits_for_a_lock
from tests.support import wait_until

pytestmark = pytest.mark.django_db
REFUSED = "has conversations with leads"


def form_of(bot: Bot, **changes: str) -> dict[str, str]:
    facts = {"key": bot.key, "display_name": bot.display_name, "role": bot.role, "enabled": "on", "api_id": ""}
    inlines = {f"{name}-{each}_FORMS": "0" for name in ("history", "blocks") for each in ("TOTAL", "INITIAL")}
    return facts | inlines | changes


def test_the_panel_refuses_another_role_and_explains_what_to_do(conversation: Conversation) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("olga"))
    page = reverse("admin:bots_bot_change", args=[conversation.bot_id])
    answer = client.post(page, form_of(conversation.bot, role=Role.PARSER))
    assert answer.status_code == 200
    assert REFUSED in answer.content.decode() and "connect another account" in answer.content.decode()
    assert client.post(page, form_of(conversation.bot, display_name="Anna")).status_code == 302
    conversation.bot.refresh_from_db()
    assert (conversation.bot.role, conversation.bot.display_name) == (Role.MANAGER, "Anna")


def test_an_account_without_conversations_gets_another_role_in_the_panel(world: World) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("olga"))
    idle = world.managers[0]
    page = reverse("admin:bots_bot_change", args=[idle.pk])
    assert client.post(page, form_of(idle, role=Role.ACTOR)).status_code == 302
    idle.refresh_from_db()
    assert idle.role == Role.ACTOR


def test_a_seed_file_is_refused(conversation: Conversation, world: World, tmp_path: Path) -> None:
    idle = next(bot for bot in world.managers if bot.pk != conversation.bot_id)
    parts = [
        {"key": bot.key, "phone": f"+9996620{n:03}", "role": "actor"} for n, bot in enumerate([idle, conversation.bot])
    ]
    for part, bot in zip(parts, (idle, conversation.bot), strict=True):
        Bot.objects.filter(pk=bot.pk).update(phone=part["phone"])
    file = tmp_path / "seed.yaml"
    file.write_text(yaml.safe_dump({"bots": parts}))
    with pytest.raises(CommandError, match=rf"bots\[1\]\.role: .*{REFUSED}"):
        call_command("seed_campaigns", str(file), stdout=io.StringIO())
    assert set(Bot.objects.filter(pk__in=[idle.pk, conversation.bot_id]).values_list("role", flat=True)) == {
        Role.MANAGER
    }
    file.write_text(yaml.safe_dump({"bots": parts[:1]}))
    call_command("seed_campaigns", str(file), stdout=io.StringIO())
    idle.refresh_from_db()
    assert idle.role == Role.ACTOR


def test_an_account_that_was_changed_before_this_rule_may_become_a_manager_again(conversation: Conversation) -> None:
    Bot.objects.filter(pk=conversation.bot_id).update(role=Role.ACTOR)
    role_change(bot_id=conversation.bot_id, role=Role.ACTOR)
    with pytest.raises(NotPossible, match=REFUSED):
        role_change(bot_id=conversation.bot_id, role=Role.PARSER)
    role_change(bot_id=conversation.bot_id, role=Role.MANAGER)
    conversation.bot.refresh_from_db()
    assert conversation.bot.role == Role.MANAGER


@pytest.mark.django_db(transaction=True)
def test_a_lead_that_is_given_to_the_account_at_that_moment_counts(world: World) -> None:
    bot, lead = world.managers[0], world.receive()
    Conversation.objects.filter(lead=lead).update(bot=world.managers[1])
    refused: list[NotPossible] = []

    def change() -> None:
        try:
            role_change(bot_id=bot.pk, role=Role.ACTOR)
        except NotPossible as problem:
            refused.append(problem)

    with transaction.atomic():
        managers_lock([bot.pk])
        thread = in_thread(change)
        wait_until(somebody_waits_for_a_lock)
        Conversation.objects.filter(lead=lead).update(bot=bot)
    thread.join()
    assert refused
