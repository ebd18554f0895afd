"""The panel on a phone: nothing sticks out of the page, nothing is cut off."""

from types import SimpleNamespace
from typing import Any

from leads.models import Conversation
from messaging.models import DeadLetter
from tests.browser.panel import Panel

PHONE = {"width": 390, "height": 844}
CUT_OFF = "cells => cells.filter(cell => cell.scrollHeight > cell.clientHeight).map(cell => cell.textContent)"


def _wider_than_the_page(page: Any) -> int:
    return int(page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth"))


def test_the_overview_fits(panel: Panel, world: SimpleNamespace) -> None:
    reason = "Handed over by the AI: turn 2: the person asks what nobody has told it"
    assert Conversation.objects.filter(owner="human").update(owner_reason=reason)
    panel.do(lambda page: page.set_viewport_size(PHONE))
    panel.open("/admin/")
    assert reason in panel.text
    assert panel.do(_wider_than_the_page) == 0


def test_a_long_field_of_a_list_is_shown_whole(panel: Panel, world: SimpleNamespace) -> None:
    error = "UndecodableMessage: not a NewTargetMessage: telegram_user_id: Input should be a number"
    DeadLetter.objects.update(error=error)
    panel.do(lambda page: page.set_viewport_size(PHONE))
    panel.open("/admin/messaging/deadletter/")
    assert "UndecodableMessage" in panel.text
    cells = "#result_list tbody :is(th, td)"
    assert panel.do(lambda page: page.eval_on_selector_all(cells, CUT_OFF)) == []
    assert panel.do(_wider_than_the_page) == 0
