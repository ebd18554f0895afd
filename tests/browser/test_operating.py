"""What operators do in the panel: see why things wait, pause, stop, take over, replay."""

from types import SimpleNamespace

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.urls import reverse

from bots.models import Bot, Delivery
from leads.models import Conversation, Lead, Message
from messaging.dead_letters.replays import replays_advance
from messaging.models import DeadLetter, OutboxEvent
from scripts.models import Assignment, Script
from tests.browser.panel import Panel
from tests.browser.world import WAITING_REASON
from tests.support import wait_until


def _page(row: object, page: str = "change") -> str:
    meta = row._meta  # type: ignore[attr-defined]
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_{page}", args=[row.pk])  # type: ignore[attr-defined]


def _list(model: type, query: str = "") -> str:
    meta = model._meta  # type: ignore[attr-defined]
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist") + query


def test_an_operator_logs_in_through_the_form(window: Panel, world: SimpleNamespace) -> None:
    window.open("/")
    assert window.path.startswith("/admin/login/")
    window.fill("#id_username", "operator")
    window.fill("#id_password", "correct horse battery")
    window.submit("[type=submit]")
    assert window.path == "/admin/"
    assert "Assignments under way" in window.text


def test_a_script_is_paused_resumed_and_stopped_from_its_page(panel: Panel, world: SimpleNamespace) -> None:
    panel.open(_page(world.assignment))
    assert panel.offers() == ["Pause", "Stop"]
    panel.press("Pause")
    world.assignment.refresh_from_db()
    assert (world.assignment.state, world.assignment.state_reason) == ("paused", "paused by operator")
    assert panel.offers() == ["Resume", "Stop"]
    panel.press("Resume")
    world.assignment.refresh_from_db()
    assert world.assignment.state == "playing"
    panel.press("Stop")
    world.assignment.refresh_from_db()
    assert world.assignment.state == "playing", "stopping asks first"
    panel.press("Stop")
    world.assignment.refresh_from_db()
    assert world.assignment.state == "stopped"
    assert panel.offers() == ["Play again"]
    messages = (
        LogEntry.objects.filter(object_id=str(world.assignment.pk))
        .order_by("pk")
        .values_list("change_message", flat=True)
    )
    assert [text.strip() for text in messages] == ["Pause.", "Resume.", "Stop."]


def test_a_script_page_follows_the_play_without_being_reloaded(panel: Panel, world: SimpleNamespace) -> None:
    panel.open(_page(world.assignment))
    assert "0 of 12 lines sent" in panel.text
    step = world.assignment.plays.order_by("chat__key").first().steps.first()
    type(step).objects.filter(pk=step.pk).update(state="said")
    wait_until(lambda: "1 of 12 lines sent" in panel.text, what="the new figure on the page")
    # What stands below the live part says the same as it does.
    type(world.assignment).objects.filter(pk=world.assignment.pk).update(state="paused", state_reason="paused by olga")
    fields = "() => [...document.querySelectorAll('form .readonly')].map(one => one.textContent.trim())"
    wait_until(
        lambda: {"Paused", "paused by olga"} <= set(panel.do(lambda page: page.evaluate(fields))),
        what="the state in the fields",
    )
    Session.objects.all().delete()
    wait_until(lambda: "Your login has ended" in panel.text, what="word of the login's end")
    assert "1 of 12 lines sent" in panel.text


def test_a_script_that_cannot_start_says_why(panel: Panel, world: SimpleNamespace) -> None:
    empty = Script.objects.create(slug="empty", name="Empty")
    draft = Assignment.objects.create(campaign=world.campaign, script=empty)
    panel.open(_page(draft))
    panel.press("Activate")
    assert "the script has no lines" in panel.text
    assert "Traceback" not in panel.text
    assert not LogEntry.objects.filter(object_id=str(draft.pk)).exists()


def test_an_operation_asks_before_it_leaves_edits_behind(panel: Panel, world: SimpleNamespace) -> None:
    draft = Assignment.objects.create(campaign=world.campaign, script=Script.objects.create(slug="empty", name="Empty"))
    activate, stay = '.panel-operations a:has-text("Activate")', 'dialog button:has-text("Stay on this page")'
    panel.open(_page(draft))
    # A choice in a field that must be filled in is an edit like what is typed.
    chosen = (
        "a[href='#targets']",
        "#targets-group a.add-row",
        "#targets-group .select2-selection",
        ".select2-results li[aria-selected=false]",
    )
    for selector in (*chosen, activate):
        panel.click(f"{selector} >> visible=true >> nth=0")
    panel.click(stay)
    panel.open(_page(draft))
    panel.fill("#id_seed", "77")
    panel.do(lambda page: page.click(activate))
    panel.do(lambda page: page.click(stay))
    assert (panel.path, panel.value("#id_seed")) == (_page(draft), "77")
    panel.do(lambda page: page.click(activate))
    panel.submit('dialog button:has-text("Save, then Activate")')
    assert panel.path == reverse("admin:scripts_assignment_operate", args=[draft.pk, "activate"])
    draft.refresh_from_db()
    assert draft.seed == 77


def test_a_waiting_message_says_why_and_until_when(panel: Panel, world: SimpleNamespace) -> None:
    panel.open(_list(Delivery, "?waiting=yes"))
    assert panel.rows() == 1
    waiting = Delivery.objects.get(waiting_reason=WAITING_REASON)
    why = f"{WAITING_REASON.rstrip('.')} · until {waiting.waiting_until:%Y-%m-%d %H:%M:%S} UTC"
    assert why in panel.text
    panel.open(_page(waiting))
    assert why in panel.text


def test_a_message_that_waits_can_be_cancelled_and_its_play_goes_on(panel: Panel, world: SimpleNamespace) -> None:
    delivery = Delivery.objects.get(chat=world.chats[0])
    panel.open(_page(delivery))
    panel.press("Cancel")
    panel.submit("form.panel-confirm button[type=submit]")
    delivery.refresh_from_db()
    assert (delivery.state, delivery.error) == ("cancelled", "cancelled by operator")
    assert "is cancelled." in panel.text


def test_all_messages_that_match_are_cancelled_after_their_number_was_shown(
    panel: Panel, world: SimpleNamespace
) -> None:
    matching = Delivery.objects.get(chat=world.chats[0])
    panel.open(_list(Delivery, "?waiting=yes"))
    panel.press("Cancel all 1 queued deliveries in this list…")
    assert "1 queued message will not be sent." in panel.text
    panel.press("Cancel 1 message")
    assert "1 of 1 deliveries processed" in panel.text
    matching.refresh_from_db()
    assert matching.state == "cancelled"
    panel.open(_page(matching))
    assert "cancelled by operator, with others" in panel.text


def test_lists_are_searched_and_filtered(panel: Panel, world: SimpleNamespace) -> None:
    panel.open(_list(Bot))
    panel.enter("#searchbar", "petra")
    assert panel.rows() == 1
    assert "Petra The Parser" in panel.text
    panel.open(_list(Bot, "?state__exact=restricted"))
    assert panel.rows() == 1
    panel.open(_list(OutboxEvent, "?is=parked"))
    assert panel.rows() == 1
    assert "the broker refused it" in panel.text


def test_long_names_hide_no_label_of_a_draft(panel: Panel, world: SimpleNamespace) -> None:
    world.campaign.name = "Sourdough and other breads, for the whole neighbourhood"
    world.campaign.save()
    script = Script.objects.create(slug="long", name="A long talk about the bread of our grandmothers")
    panel.open(_page(Assignment.objects.create(campaign=world.campaign, script=script)))
    hidden = """labels => labels.filter(label => {
        const box = label.getBoundingClientRect();
        return label.offsetParent
            && !label.contains(document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2));
    }).map(label => label.textContent.trim())"""
    assert not panel.do(
        lambda page: page.eval_on_selector_all("form label[for=id_campaign], label[for=id_script]", hidden)
    )


def test_a_conversation_shows_its_newest_message_unless_its_reader_scrolled_up(
    panel: Panel, world: SimpleNamespace
) -> None:
    def say(text: str) -> None:
        Message.objects.create(conversation=world.conversation, author="lead", text=text)

    def sees(text: str) -> bool:
        box = panel.page.locator(".panel-conversation").bounding_box()
        line = panel.page.get_by_text(text, exact=True).bounding_box()
        return bool(box and line and box["y"] <= line["y"] < box["y"] + box["height"])

    for number in range(40):
        say(f"line {number}")
    panel.open(_page(world.conversation))
    wait_until(lambda: panel.do(lambda _: sees("line 39")), what="the newest line")
    say("line 40")
    wait_until(lambda: "line 40" in panel.text, what="the live refresh")
    # It is scrolled to when it is there already.
    wait_until(lambda: panel.do(lambda _: sees("line 40")), what="the newest line")
    panel.do(lambda page: page.eval_on_selector(".panel-conversation", "box => { box.scrollTop = 0 }"))
    say("line 41")
    wait_until(lambda: "line 41" in panel.text, what="the live refresh")
    assert not panel.do(lambda _: sees("line 41"))
    assert panel.do(lambda _: sees("What does a loaf cost?"))


def test_an_open_conversation_follows_what_is_added_before_and_what_is_deleted(
    panel: Panel, world: SimpleNamespace
) -> None:
    def shown() -> list[str]:
        return panel.do(lambda page: page.locator("#conversation-messages > div > div:last-child").all_inner_texts())

    panel.open(_page(world.conversation))
    before = shown()
    late = Message.objects.create(
        conversation=world.conversation, author="lead", text="I came late", telegram_message_id=1
    )
    wait_until(lambda: shown() == ["I came late", *before], what="the message that is the first")
    assert not panel.do(lambda page: page.is_visible("#conversation-earlier"))
    assert panel.do(lambda page: page.inner_text("#conversation-news")) == "", "what is older is no news"
    late.delete()
    wait_until(lambda: shown() == before, what="the deleted message to go")
    panel.fill("#reply-text", "Dear Wanda")
    drafts = "() => Object.keys(sessionStorage).filter(one => one.startsWith('draft')).length"
    assert panel.do(lambda page: page.evaluate(drafts)) == 1
    world.conversation.delete()
    wait_until(lambda: "This conversation was deleted in the meantime." in panel.text, what="word of the deletion")
    assert before[0] not in panel.text
    assert panel.do(lambda page: page.evaluate(drafts)) == 0
    panel.problems.clear()


def test_an_operator_takes_a_conversation_over_writes_and_hands_it_back(panel: Panel, world: SimpleNamespace) -> None:
    panel.open(_page(world.conversation))
    assert "What does a loaf cost?" in panel.text
    panel.fill("#reply-text", "This is Anna from the bakery: come by!")
    panel.do(lambda page: page.press("#reply-text", "Control+Enter"))
    wait_until(lambda: panel.value("#reply-text") == "", what="the box to be free again")
    wait_until(lambda: "An operator answers" in panel.html, what="the takeover on the page")
    reply = Message.objects.get(conversation=world.conversation, author="operator")
    assert reply.delivery is not None and reply.delivery.purpose == "operator"
    world.conversation.refresh_from_db()
    assert world.conversation.owner == Conversation.Owner.HUMAN
    focused = "() => [document.activeElement.id, document.querySelector('#reply button').textContent]"
    assert panel.do(lambda page: page.evaluate(focused)) == ["reply-text", "Send"]
    assert (
        "come by!" in panel.text and "Your message is queued and is sent as soon as the gate allows it." in panel.text
    )
    sent = {"state": "sent", "sent_at": reply.at, "telegram_message_id": 4711}
    Delivery.objects.filter(pk=reply.delivery.pk).update(**sent)
    wait_until(lambda: f"sent {reply.at:%H:%M}" in panel.text, what="the message to be shown as sent")
    wait_until(
        lambda: "Your message is queued and is sent as soon as the gate allows it." not in panel.text,
        what="the note at the box to go",
    )
    panel.fill("#reply-text", "x" * 4097)
    panel.do(lambda page: page.click("#reply button"))
    wait_until(lambda: "is 1 character too long" in panel.text, what="the refusal beside the box")
    assert panel.value("#reply-text") == "x" * 4097
    panel.press("Hand back to the AI")
    world.conversation.refresh_from_db()
    assert world.conversation.owner == Conversation.Owner.AI
    assert panel.value("#reply-text") == "x" * 4097, "a draft outlives a new page"
    Session.objects.all().delete()
    panel.fill("#reply-text", "Are you still there?")
    panel.do(lambda page: page.click("#reply button"))
    wait_until(
        lambda: "Your login has ended" in panel.text and "The server did not confirm your message." in panel.text,
        what="word of the login's end",
    )
    assert panel.value("#reply-text") == "Are you still there?"


def test_a_lead_is_rejected_with_a_reason(panel: Panel, world: SimpleNamespace) -> None:
    panel.open(_page(world.new_lead))
    panel.press("Reject")
    panel.fill("#id_reason", "a colleague")
    panel.press("Reject")
    world.new_lead.refresh_from_db()
    assert world.new_lead.state == Lead.State.CLOSED
    assert "a colleague" in world.new_lead.state_reason


def test_selected_dead_letters_are_replayed_from_the_list(panel: Panel, world: SimpleNamespace) -> None:
    panel.open(_list(DeadLetter))
    panel.do(lambda page: page.check("input.action-select"))
    panel.do(lambda page: page.select_option("select[name=action]", "replay_selected"))
    panel.submit("#changelist-actions-wrapper button[name=index]")
    panel.press("Replay")
    replays_advance()
    world.letter.refresh_from_db()
    assert (world.letter.state, world.letter.decided_by) == ("replayed", "operator")


def test_selected_dead_letters_are_discarded_with_one_reason(panel: Panel, world: SimpleNamespace) -> None:
    panel.open(_list(DeadLetter))
    panel.do(lambda page: page.check("input.action-select"))
    panel.do(lambda page: page.select_option("select[name=action]", "do_discard"))
    panel.submit("#changelist-actions-wrapper button[name=index]")
    panel.fill("#id_reason", "an old test")
    panel.press("Discard")
    world.letter.refresh_from_db()
    assert (world.letter.state, world.letter.decision_reason) == ("discarded", "an old test")


def test_a_restricted_bot_is_released_only_after_a_question(panel: Panel, world: SimpleNamespace) -> None:
    panel.open(_page(world.manager))
    panel.press("Release")
    world.manager.refresh_from_db()
    assert world.manager.state == Bot.State.RESTRICTED
    panel.press("Release")
    world.manager.refresh_from_db()
    assert (world.manager.state, world.manager.state_reason) == ("offline", "released by operator")


@pytest.mark.parametrize("width", [1300, 1600])
def test_no_field_of_a_permission_runs_off_the_page(panel: Panel, world: SimpleNamespace, width: int) -> None:
    panel.do(lambda page: page.set_viewport_size({"width": width, "height": 800}))
    panel.open(reverse("admin:campaigns_chatpermission_add"))
    ends = panel.do(
        lambda page: page.eval_on_selector_all(
            "fieldset input:not([type=hidden])",
            "all => Object.fromEntries(all.map(one => [one.name, one.getBoundingClientRect().right]))",
        )
    )
    assert {"granted_at_1", "valid_until_1"} <= set(ends)
    assert max(ends.values()) <= width
