"""What a page says after an operation is what the operation has done."""

import html
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

import coolthing_site.urls  # noqa: F401  It registers the pages.
from bots.models import Bot
from campaigns.models import Campaign, ChatPermission
from campaigns.permissions.services import permission_grant, permissions_suspend
from leads.models import Lead
from scripts import services
from scripts.models import Assignment
from tests.integration.leads_world import make_world
from tests.integration.script_world import make_assignment, make_bot, make_chat

pytestmark = pytest.mark.django_db
SCRIPT = ChatPermission.Grant.SCRIPT


@pytest.fixture
def panel(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("olga"))
    return client


def message_after(panel: Client, row: Model, operation: str, **values: Any) -> str:
    url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_operate", args=[row.pk, operation])
    return html.unescape(panel.post(url, values, follow=True).content.decode())


def test_an_approval_says_whether_a_first_message_is_queued(panel: Client):
    world = make_world(direct=False)
    ready, stuck = world.receive(), world.receive(telegram_user_id=502, username="other")
    assert {ready.state, stuck.state} == {"awaiting_approval"}
    assert "is approved. The first message is queued and is sent as soon as the gate allows it." in message_after(
        panel, ready, "approve"
    )
    Bot.objects.filter(role="manager").update(role="actor")
    page = message_after(panel, stuck, "approve")
    assert "is approved. Nothing is queued yet: No manager account of the campaign can take new leads. " in page
    assert "first message is queued" not in page and Lead.objects.get(pk=stuck.pk).state == "new"


def test_approvals_of_several_say_what_became_of_each_kind(panel: Client):
    world = make_world(direct=False)
    leads = [world.receive(telegram_user_id=500 + n, username=f"person_{n}") for n in range(3)]
    Lead.objects.filter(pk=leads[0].pk).update(approved_at=timezone.now(), state="talking")
    url = reverse("admin:leads_lead_changelist")
    chosen = {"action": "do_approve", "_selected_action": [str(lead.pk) for lead in leads], "_confirmed": "1"}
    page = html.unescape(panel.post(url, chosen, follow=True).content.decode())
    assert "Each of 2 leads is approved. The first message is queued" in page
    assert "person_0 is approved. Its state is now “In conversation”." in page


def test_a_resumed_permission_that_is_not_in_force_is_not_said_to_hold(panel: Client):
    chat = make_chat("square")
    given = chat.permissions.get()
    permissions_suspend(chat_id=chat.pk, reason="The account was banned there.")
    type(chat).objects.filter(pk=chat.pk).update(telegram_id=-100123, reference_changed_at=timezone.now())
    page = message_after(panel, given, "resume")
    assert "is no longer suspended, but no account has confirmed" in page and "is in force again" not in page
    type(chat).objects.filter(pk=chat.pk).update(reference_changed_at=None)
    permissions_suspend(chat_id=chat.pk, reason="The account was banned there.")
    assert "is in force again, and work that waited for it continues." in message_after(panel, given, "resume")


def test_revoking_a_permission_that_has_ended_leaves_the_newer_one_alone(panel: Client):
    chat = make_chat("square")
    ended = chat.permissions.get()
    newer = permission_grant(chat_id=chat.pk, purpose=SCRIPT, granted_by="the owner", evidence="A new letter")
    page = message_after(panel, ended, "revoke")
    assert "This permission has ended already." in page and "is revoked." not in page
    newer.refresh_from_db()
    assert newer.revoked_at is None
    assert "is revoked." in message_after(panel, newer, "revoke")


def test_a_play_goes_on_only_when_nothing_else_keeps_it(panel: Client):
    assignment = services.assignment_activate(assignment_id=make_assignment(chats=1).pk)
    assert "was already activated: it is playing." in _activated_twice(panel, assignment)
    play = assignment.plays.get()
    services.play_pause(play_id=play.pk)
    services.assignment_pause(assignment_id=assignment.pk)
    assert "continues when its assignment does: the assignment is paused." in message_after(panel, play, "resume")
    Campaign.objects.update(state="paused")
    assert "continues when its campaign does: Campaign is paused." in message_after(panel, assignment, "resume")


def _activated_twice(panel: Client, assignment: Assignment) -> str:
    assert "is active: its plays are being prepared." in message_after(panel, assignment, "activate")
    services.assignment_prepare(assignment_id=str(assignment.pk))
    return message_after(panel, assignment, "activate")


def test_an_account_that_is_started_may_still_be_kept_from_working(panel: Client):
    bot = make_bot("ben", state="stopped", enabled=False)
    assert "is started but still disabled. Enable it below so that it connects." in message_after(panel, bot, "start")
    Bot.objects.update(state="stopped", enabled=True)
    assert "is started." in message_after(panel, bot, "start")
