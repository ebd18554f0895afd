"""The panel's messages to users who enter a second object where only one is allowed."""

import html
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from campaigns.models import Budget
from leads.models import CampaignManager
from notifier.models import Channel, Rule
from parser.models import Keyword, WatchedChat
from scripts.models import Assignment
from tests.integration.leads_world import permit
from tests.integration.script_world import logged_in, make_assignment, make_bot

pytestmark = pytest.mark.django_db


def budget(assignment: Assignment) -> tuple[Any, dict[str, Any]]:
    window = {"scope": "campaign", "key": str(assignment.campaign_id), "counts": "messages", "window_seconds": 60}
    return Budget.objects.create(limit=5, **window), {
        **window,
        "key": assignment.campaign.slug,
        "purpose": "",
        "limit": 9,
    }


def keyword(assignment: Assignment) -> tuple[Any, dict[str, Any]]:
    row = Keyword.objects.create(campaign=assignment.campaign, kind=Keyword.Kind.PLUS, text="tea")
    return row, {"campaign": assignment.campaign_id, "kind": "plus", "text": "tea"}


def watched_chat(assignment: Assignment) -> tuple[Any, dict[str, Any]]:
    facts = {
        "campaign_id": assignment.campaign_id,
        "chat_id": permit(assignment.targets.all()[0].chat, "parse").chat_id,
        "bot_id": logged_in(make_bot("petra", role="parser")).pk,
    }
    return WatchedChat.objects.create(**facts), _as_typed(facts)


def manager(assignment: Assignment) -> tuple[Any, dict[str, Any]]:
    facts = {"campaign_id": assignment.campaign_id, "bot_id": logged_in(make_bot("max", role="manager")).pk}
    return CampaignManager.objects.create(**facts), _as_typed(facts)


def rule(assignment: Assignment) -> tuple[Any, dict[str, Any]]:
    channel = Channel.objects.create(name="Ops", kind=Channel.Kind.FILE, address="/dev/null")
    return Rule.objects.create(channel=channel, pattern="#"), {"channel": channel.pk, "pattern": "#"}


def slot(assignment: Assignment) -> tuple[Any, dict[str, Any]]:
    row = assignment.script.slots.all()[0]
    return row, {"script": row.script_id, "name": row.name}


def line_key(assignment: Assignment) -> tuple[Any, dict[str, Any]]:
    row = assignment.script.lines.all()[0]
    return row, _line(row, key=row.key)


def line_position(assignment: Assignment) -> tuple[Any, dict[str, Any]]:
    row = assignment.script.lines.all()[0]
    return row, _line(row, position=row.position)


def assignment(assignment: Assignment) -> tuple[Any, dict[str, Any]]:
    no_targets = {"targets-TOTAL_FORMS": 0, "targets-INITIAL_FORMS": 0}
    return assignment, {"campaign": assignment.campaign_id, "script": assignment.script_id, "seed": 0, **no_targets}


def casting(assignment: Assignment) -> tuple[Any, dict[str, Any]]:
    row = assignment.cast.all()[0]
    return row, {"assignment": assignment.pk, "slot": row.slot_id, "bot": row.bot_id}


def target(assignment: Assignment) -> tuple[Any, dict[str, Any]]:
    row = assignment.targets.all()[0]
    return row, {"assignment": assignment.pk, "chat": row.chat_id}


def _as_typed(facts: dict[str, Any]) -> dict[str, Any]:
    return {name.removesuffix("_id"): value for name, value in facts.items()}


def _line(row: Any, **changed: Any) -> dict[str, Any]:
    fresh = {"key": "fresh", "position": 99, "text": "Hi", "delay_seconds": 1}
    return {"script": row.script_id, "slot": row.slot_id, **fresh, **changed}


@pytest.mark.parametrize(
    ("entered", "message"),
    [
        (budget, "A budget with this scope, key, purpose, counts and window exists: change its limit."),
        (keyword, "The campaign already has this keyword."),
        (watched_chat, "This chat is already watched for the campaign."),
        (manager, "This account is already a manager of the campaign."),
        (rule, "The channel has a rule with this pattern already."),
        (slot, "The script already has a slot with this name."),
        (line_key, "The script already has a line with this key."),
        (line_position, "The script already has a line at this position."),
        (assignment, "The script already has an assignment in this campaign that has not ended."),
        (casting, "This slot already has an account."),
        (target, "This chat is already a target of the assignment."),
    ],
)
def test_what_is_there_already_is_refused_in_words(entered: Callable[..., tuple[Any, dict[str, Any]]], message: str):
    panel = Client()
    panel.force_login(User.objects.create_superuser("olga"))
    row, form = entered(make_assignment())
    there = type(row).objects.count()
    url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_add")
    page = html.unescape(panel.post(url, form).content.decode())
    assert message in page and "Constraint" not in page
    assert type(row).objects.count() == there
