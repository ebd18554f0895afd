"""The page "Queues" as an operator uses it."""

from types import SimpleNamespace

from messaging.models import QueueControl, QueueSample
from tests.browser.panel import Panel


def test_a_queue_is_paused_with_a_reason_and_resumed(panel: Panel, world: SimpleNamespace) -> None:
    assert panel.open("/admin/queues/") == 200
    panel.submit('tr#leads_queue a:has-text("Pause")')
    panel.fill("input[name=reason]", "too many leads")
    panel.press("Pause")
    assert panel.path == "/admin/queues/"
    assert "too many leads · operator" in panel.text
    assert QueueControl.objects.get(queue="leads_queue").paused
    panel.submit("tr#leads_queue form button")
    assert "too many leads" not in panel.text
    assert not QueueControl.objects.get(queue="leads_queue").paused
    assert not panel.problems


def test_figures_are_shown_with_a_chart_and_without_any(panel: Panel, world: SimpleNamespace) -> None:
    panel.open("/admin/queues/")
    assert panel.do(lambda page: page.locator("tr#leads_queue svg path").count()) == 2
    QueueSample.objects.all().delete()
    panel.open("/admin/queues/")
    assert "No figures yet" in panel.text
    assert not panel.problems
