"""Who plays what, and where: the same rules at every door, and pickers that offer only what works."""

import html
import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

import coolthing_site.urls  # noqa: F401  It registers the pages.
from bots.models import Bot, BotSession
from campaigns.models import Chat
from scripts import services
from scripts.errors import CannotStart, CastFixed
from scripts.models import Assignment, Casting, Line, Slot, Target
from tests.integration.script_world import logged_in, make_assignment, make_bot, make_chat

pytestmark = pytest.mark.django_db


@pytest.fixture
def panel(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("olga"))
    return client


def url(row: Any, page: str = "change") -> str:
    return reverse(f"admin:scripts_{row._meta.model_name}_{page}", args=[row.pk])


def add_url(model: Any) -> str:
    return reverse(f"admin:scripts_{model._meta.model_name}_add")


def text(answer: Any) -> str:
    return html.unescape(answer.content.decode())


def rows() -> list[Any]:
    return [*Casting.objects.order_by("pk").values(), *Target.objects.order_by("pk").values()]


def start(assignment: Assignment) -> Assignment:
    services.assignment_activate(assignment_id=assignment.pk)
    services.assignment_prepare(assignment_id=str(assignment.pk))
    assignment.refresh_from_db()
    return assignment


def offered(panel: Client, model: Any, field: str, row: Any = None) -> set[str]:
    """By the picker of the form of `row`, or of a new one."""
    asked = {"app_label": "scripts", "model_name": model._meta.model_name, "field_name": field}
    answer = panel.get(reverse("admin:autocomplete"), asked | {"for_row": row.pk if row else ""})
    return {result["text"] for result in json.loads(answer.content)["results"]}


@pytest.mark.parametrize("state", ["playing", "failed"])
def test_no_page_changes_the_cast_or_the_chats_of_what_was_activated(panel: Client, state: str):
    assignment = start(make_assignment())
    Assignment.objects.update(state=state)
    casting, target = Casting.objects.order_by("pk")[0], Target.objects.order_by("pk")[0]
    bot, chat = make_bot("another"), make_chat("another")
    slot = Slot.objects.create(script=assignment.script, name="third")
    before = rows()
    new: list[tuple[Any, dict[str, Any]]] = [(casting, {"slot": slot.pk, "bot": bot.pk}), (target, {"chat": chat.pk})]
    for row, values in new:
        listed = reverse(f"admin:scripts_{row._meta.model_name}_changelist")
        panel.post(url(row), values)
        panel.post(url(row, "delete"), {"post": "yes"})
        panel.post(listed, {"action": "delete_selected", "_selected_action": row.pk, "post": "yes"})
        refused = text(panel.post(add_url(row), values | {"assignment": assignment.pk}))
        assert "its cast and chats can no longer be changed" in refused
        assert rows() == before
    inline: dict[str, Any] = {
        "cast-TOTAL_FORMS": 1,
        "cast-INITIAL_FORMS": 1,
        "targets-TOTAL_FORMS": 0,
        "targets-INITIAL_FORMS": 0,
    }
    inline |= {
        "cast-0-id": casting.pk,
        "cast-0-assignment": assignment.pk,
        "cast-0-slot": casting.slot_id,
        "cast-0-bot": bot.pk,
    }
    panel.post(url(assignment), inline)
    panel.post(url(assignment), inline | {"cast-0-DELETE": "on"})
    assert rows() == before
    assert assignment.script.name not in "".join(offered(panel, Casting, "assignment"))
    with pytest.raises(CastFixed, match="choose “Play again”"):
        services.preparation_lock(assignment_ids=[assignment.pk])


def test_a_draft_is_cast_on_each_page(panel: Client):
    assignment, bot = make_assignment(), logged_in(make_bot("another"))
    casting = Casting.objects.order_by("pk")[0]
    assert panel.post(url(casting), {"slot": casting.slot_id, "bot": bot.pk}).status_code == 302
    assert Casting.objects.get(pk=casting.pk).bot == bot
    assert panel.post(url(casting, "delete"), {"post": "yes"}).status_code == 302
    assert (
        panel.post(add_url(casting), {"assignment": assignment.pk, "slot": casting.slot_id, "bot": bot.pk}).status_code
        == 302
    )
    assert assignment.cast.count() == 2
    strange = Slot.objects.create(script=make_assignment(slug="other").script, name="third")
    refused = text(panel.post(add_url(casting), {"assignment": assignment.pk, "slot": strange.pk, "bot": bot.pk}))
    assert "This slot belongs to another script. Choose a slot of Talk." in refused


def test_castings_offer_only_accounts_that_can_play_and_explain_why_others_cannot(panel: Client):
    make_assignment()
    casting = Casting.objects.order_by("pk")[0]
    for key, facts in (
        ("max", {"role": "manager"}),
        ("petra", {"role": "parser"}),
        ("off", {"enabled": False}),
        ("out", {"state": "needs_login"}),
        ("gone", {"state": "banned"}),
    ):
        logged_in(make_bot(key, **facts))
    make_bot("oskar")
    make_bot("lost", telegram_user_id=7)
    assert offered(panel, Casting, "bot", casting) == offered(panel, Casting, "bot") == {"talk-host", "talk-guest"}
    for key, expected in (
        ("max", "max does not have the role actor: choose an account of the role actor."),
        ("off", "off is disabled: enable it on its page, or choose another account."),
        ("out", "out needs login: log it in on its page, or choose another account."),
        ("gone", "gone is banned: choose another account."),
        ("oskar", "oskar was never logged in: log it in on its page, or choose another account."),
        ("lost", "lost was logged out: log it in on its page, or choose another account."),
    ):
        values = {"slot": casting.slot_id, "bot": Bot.objects.get(key=key).pk}
        assert expected in text(panel.post(url(casting), values))
    assert Casting.objects.get(pk=casting.pk).bot == casting.bot
    filters = {"app_label": "scripts", "model_name": "casting", "field_name": "bot"}
    assert "max" in panel.get(reverse("admin:autocomplete"), filters).content.decode(), "a list may have older rows"


def test_what_an_account_that_was_never_logged_in_plays_cannot_be_activated_at_any_door(panel: Client):
    """Nothing sets its state: it is offline, as one that connects when it is wanted."""
    assignment = make_assignment()
    casting = Casting.objects.order_by("pk")[0]
    BotSession.objects.filter(bot=casting.bot).delete()
    for page in (url(casting), url(assignment), reverse("admin:scripts_casting_changelist")):
        assert f"{casting.bot} was never logged in: log it in on its page" in text(panel.get(page)), page
    with pytest.raises(CannotStart) as refusal:
        services.assignment_activate(assignment_id=assignment.pk)
    assert refusal.value.problems == ["slot host: talk-host was never logged in: log it in"]
    services.assignment_prepare(assignment_id=str(assignment.pk))
    assignment.refresh_from_db()
    assert (assignment.state, assignment.state_reason) == ("failed", str(refusal.value))


def test_a_cast_account_that_cannot_play_any_more_stays_with_the_reason(panel: Client):
    assignment = make_assignment()
    casting = Casting.objects.order_by("pk")[0]
    Bot.objects.filter(pk=casting.bot_id).update(state="banned")
    expected = f"{casting.bot} is banned: choose another account."
    for page in (url(casting), url(assignment), reverse("admin:scripts_casting_changelist")):
        assert expected in text(panel.get(page)), page
    slot = Slot.objects.create(script=assignment.script, name="third")
    assert panel.post(url(casting), {"slot": slot.pk, "bot": casting.bot_id}).status_code == 302
    assert Casting.objects.get(pk=casting.pk).slot == slot


def test_targets_offer_only_chats_in_which_scripts_may_play(panel: Client):
    assignment = make_assignment(chats=1)
    target = Target.objects.get()
    bare, silent = make_chat("bare", permitted=False), make_chat("silent", label=" ")
    ended = make_chat("ended")
    ended.permissions.update(revoked_at=assignment.campaign.created_at, revoked_reason="no more")
    assert offered(panel, Target, "chat", target) == {"Talk-0"}
    for chat, expected in (
        (bare, "Bare: no permission for scripts is in force: none is on record."),
        (ended, "Ended: no permission for scripts is in force: it was revoked at"),
        (silent, "Silent has no label that informs its members about scripts"),
    ):
        assert expected in text(panel.post(url(target), {"chat": chat.pk}))
        assert expected in text(panel.post(add_url(target), {"assignment": assignment.pk, "chat": chat.pk}))
    assert [target.chat for target in Target.objects.all()] == [target.chat]
    Chat.objects.filter(pk=target.chat_id).update(label="")
    assert "Talk-0 has no label" in text(panel.get(url(assignment)))


def test_a_line_replies_only_to_a_line_before_it(panel: Client):
    script = make_assignment().script
    first, second, third = script.lines.order_by("position")
    assert offered(panel, Line, "reply_to", second) == {str(first)}
    values = {"key": "l2", "position": 2, "slot": second.slot_id, "text": "Hi", "delay_seconds": 0}
    for answered in (second, third):
        refused = text(panel.post(url(second), values | {"reply_to": answered.pk}))
        assert "A line can reply only to a line before it" in refused
    behind = panel.post(url(first), values | {"key": "l1", "position": 9, "slot": first.slot_id})
    assert "Line l2 replies to this line and must come after it." in text(behind)
    strange = make_assignment(slug="other").script.lines.get(position=1)
    assert "This line belongs to another script." in text(
        panel.post(url(third), values | {"reply_to": strange.pk, "position": 3})
    )
    assert list(script.lines.values_list("position", "reply_to")) == [(1, None), (2, first.pk), (3, second.pk)]


def test_so_it_is_among_the_lines_of_a_scripts_page_whatever_their_new_order(panel: Client):
    script = make_assignment().script
    lines = list(script.lines.order_by("position"))
    page = text(panel.get(url(script)))
    first_choices = page.partition('name="lines-0-reply_to"')[2].partition("</select>")[0]
    assert str(lines[1].pk) not in first_choices and str(lines[0].pk) not in first_choices

    def submit(*places: tuple[int, Line | None]) -> Any:
        values = {"name": "Talk", "slug": "talk", "lines-INITIAL_FORMS": 3, "lines-TOTAL_FORMS": 3}
        values |= {"slots-INITIAL_FORMS": 0, "slots-TOTAL_FORMS": 0}
        for index, (line, (position, answered)) in enumerate(zip(lines, places, strict=True)):
            fields = {
                "id": line.pk,
                "script": script.pk,
                "key": line.key,
                "position": position,
                "slot": line.slot_id,
            }
            fields |= {"text": line.text, "delay_seconds": 0, "reply_to": answered.pk if answered else ""}
            values |= {f"lines-{index}-{name}": value for name, value in fields.items()}
        return panel.post(url(script), values)

    first, second, third = lines
    assert "A line can reply only to a line before it" in text(submit((1, None), (2, third), (3, None)))
    assert "A line can reply only to a line before it" in text(submit((5, None), (2, first), (3, second)))
    assert list(script.lines.values_list("position", "reply_to")) == [(1, None), (2, first.pk), (3, second.pk)]
    assert submit((3, second), (1, None), (5, first)).status_code == 302
    assert list(script.lines.values_list("key", "reply_to")) == [("l2", None), ("l1", second.pk), ("l3", first.pk)]


def test_a_finished_campaign_gets_no_script(panel: Client):
    assignment = make_assignment()
    done = make_assignment(slug="done").campaign
    type(done).objects.filter(pk=done.pk).update(state="finished", name="Old one")
    assert offered(panel, Assignment, "campaign") == {"Campaign"}
    values = {"campaign": done.pk, "script": assignment.script_id, "seed": 0}
    values |= {"targets-INITIAL_FORMS": 0, "targets-TOTAL_FORMS": 0}
    refused = text(panel.post(add_url(assignment), values))
    assert "Old one has finished for good: choose another campaign, or add a new one." in refused
