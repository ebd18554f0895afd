"""The panel's pages lead to what belongs to them, say each thing once, and offer to save only what can be edited."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from campaigns.models import Suppression
from leads.models import Conversation, Lead, Message
from leads.services.opt_out import opt_out
from parser.models import Hit, Keyword
from scripts import services
from scripts.models import Step
from tests.integration.leads_world import World
from tests.integration.script_world import make_assignment

pytestmark = pytest.mark.django_db


def path(row: Any) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def page(client: Client, row: Any) -> str:
    return client.get(path(row)).content.decode()


def listed(client: Client, model: Any) -> str:
    return client.get(reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")).content.decode()


def hit_of(world: World, lead: Lead, **facts: Any) -> Hit:
    facts = {"message_id": 77, "telegram_user_id": 501, "username": "Tea_Lover", "text": "tea?"} | facts
    moment = {"keyword": "tea", "said_at": timezone.now()}
    return Hit.objects.create(campaign=world.campaign, bot=world.parser, chat=world.chat, **facts, **moment)


def test_a_hit_a_lead_and_their_conversation_lead_to_each_other(
    world: World, conversation: Conversation, admin_client: Client
):
    first = hit_of(world, conversation.lead, id=conversation.lead.event_id)
    later = hit_of(world, conversation.lead, message_id=78)
    for hit in (first, later):
        assert path(conversation.lead) in page(admin_client, hit)
        assert path(conversation) in page(admin_client, hit)
    shown = page(admin_client, conversation.lead)
    for row in (first, conversation, world.campaign, world.chat, world.parser):
        assert f'href="{path(row)}"' in shown
    assert f'href="{path(conversation.lead)}"' in page(admin_client, conversation)
    assert path(conversation) in page(admin_client, Message.objects.get().delivery)


def test_a_lead_and_a_suppression_lead_to_each_other(conversation: Conversation, admin_client: Client):
    assert "not suppressed" in page(admin_client, conversation.lead)
    opt_out(lead_id=conversation.lead_id, source=Suppression.Source.OPERATOR)
    suppression = Suppression.objects.get()
    assert f'href="{path(suppression)}"' in page(admin_client, conversation.lead)
    assert "/admin/leads/lead/?q=501" in page(admin_client, suppression)


def test_lists_lead_to_related_rows_that_one_may_view(world: World, conversation: Conversation, client: Client):
    viewer = User.objects.create_user("vera", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_conversation"))
    client.force_login(viewer)
    assert path(conversation.bot) not in listed(client, Conversation)
    viewer.user_permissions.add(Permission.objects.get(codename="view_bot"))
    client.force_login(User.objects.get(pk=viewer.pk))
    assert path(conversation.bot) in listed(client, Conversation)


def test_a_play_shows_each_line_once_with_a_link_to_its_step(admin_client: Client):
    assignment = services.assignment_activate(assignment_id=make_assignment().pk)
    services.assignment_prepare(assignment_id=str(assignment.pk))
    step = Step.objects.select_related("play").order_by("position")[0]
    shown = page(admin_client, step.play)
    assert shown.count(step.text) == 1
    assert f'href="{path(step)}"' in shown
    assert path(step.play) in page(admin_client, step.delivery)


def test_a_page_without_anything_to_edit_offers_no_saving(admin_client: Client):
    assignment = make_assignment()
    assert 'name="_save"' in page(admin_client, assignment)
    services.assignment_activate(assignment_id=assignment.pk)
    shown = page(admin_client, assignment)
    assert "_save" not in shown and "_continue" not in shown and "_addanother" not in shown


def test_conversations_that_never_had_an_answer_come_last(
    world: World, conversation: Conversation, admin_client: Client
):
    other = world.conversation(telegram_user_id=502, username="other", message_id=79)
    for order in ("", "?o=-7"):
        Conversation.objects.filter(pk=conversation.pk).update(last_incoming_at=timezone.now())
        answer = admin_client.get(reverse("admin:leads_conversation_changelist") + order)
        assert list(answer.context["cl"].queryset) == [conversation, other]


def test_what_is_saved_first_leads_on_to_where_one_was_going(world: World, admin_client: Client):
    keyword = Keyword.objects.create(campaign=world.campaign, text="oolong")
    form = {"campaign": world.campaign.pk, "kind": "plus"}
    there = path(world.campaign)
    answer = admin_client.post(path(keyword), form | {"text": "green tea", "_save": "", "_then": there})
    assert (answer.status_code, answer.headers["Location"]) == (302, there)
    keyword.refresh_from_db()
    assert keyword.text == "green tea"
    elsewhere = admin_client.post(path(keyword), form | {"text": "mate", "_save": "", "_then": "//example.org/"})
    assert elsewhere.headers["Location"].startswith("/admin/parser/keyword/")
    refused = admin_client.post(path(keyword), form | {"text": "", "_save": "", "_then": there})
    assert refused.status_code == 200 and "This field is required." in refused.content.decode()
