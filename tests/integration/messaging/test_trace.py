"""An event's whole story, on its page and on the command line."""

import io
import json
import uuid
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import Client

from messaging.broker import topology
from messaging.consuming.subscriptions import handle
from messaging.dead_letters.services import dead_letter_replay
from messaging.events import ServiceErrorEvent
from messaging.instrumentation.tracing import traceparent
from messaging.messages import body_digest
from messaging.models import DeadLetter, HandlingFailure, OutboxEvent, ProcessedEvent, QueueControl
from messaging.observability.trace import Trace, trace
from messaging.publishing.outbox import publish_on_commit
from notifier.models import Channel, Notification, Rule
from tests.integration.letters import archive, death
from tests.integration.messaging.test_queues_page import person

pytestmark = pytest.mark.django_db


def _publish() -> ServiceErrorEvent:
    event = ServiceErrorEvent(service="bots", reason="a socket broke")
    with transaction.atomic():
        publish_on_commit(event)
    return event


def _confirm(event: ServiceErrorEvent) -> OutboxEvent:
    row = OutboxEvent.objects.get(event_id=event.id)
    row.published_at = row.created_at + timedelta(milliseconds=3)
    row.save()
    return row


def _handle(event: ServiceErrorEvent) -> None:
    handle(topology.NOTIFIER_QUEUE, topology.EVENTS_EXCHANGE, event.routing_key, event.to_json().encode())


def _arrivals(found: Trace) -> dict[str, str]:
    return {arrival.queue: arrival.state for arrival in found.arrivals}


def test_the_trace_of_a_handled_event_shows_when_how_long_and_with_what_result():
    channel = Channel.objects.create(name="Team", kind="file", address="/dev/null")
    Rule.objects.create(channel=channel, pattern="#")
    event = _publish()
    _confirm(event)
    _handle(event)
    found = trace(event.id)
    assert {step.what for step in found.steps} == {"committed", "confirmed", "handled", "notification created"}
    handled = next(step for step in found.steps if step.what == "handled")
    assert handled.where == topology.NOTIFIER_QUEUE
    assert handled.seconds is not None and 0 < handled.seconds < 60
    assert _arrivals(found) == {topology.NOTIFIER_QUEUE: "handled"}
    assert (found.exchange, found.routing_key) == (topology.EVENTS_EXCHANGE, "bots.error")


def test_the_trace_of_an_event_under_way_shows_what_it_waits_for():
    event = _publish()
    assert "not confirmed" in trace(event.id).arrivals[0].text
    _confirm(event)
    assert trace(event.id).arrivals[0].state == "waiting"
    QueueControl.objects.create(queue=topology.NOTIFIER_QUEUE, paused=True, reason="too loud")
    assert trace(event.id).arrivals[0].text == "the queue is paused: too loud"


def test_a_death_and_a_replay_are_part_of_the_story():
    event = _publish()
    row = _confirm(event)
    body = event.to_json().encode()
    HandlingFailure.objects.create(queue=topology.NOTIFIER_QUEUE, body_digest=body_digest(body), error="ValueError: x")
    died = death(topology.NOTIFIER_QUEUE, exchange=topology.EVENTS_EXCHANGE, **{"routing-keys": ["bots.error"]})
    archive(body, died | row.headers)
    assert _arrivals(trace(event.id)) == {topology.NOTIFIER_QUEUE: "dead"}
    letter = next(step.row for step in trace(event.id).steps if step.what == "dead-lettered")
    assert letter is not None
    dead_letter_replay(letter_id=letter.pk, by="ann")
    _handle(event)
    found = trace(event.id)
    names = [step.what for step in found.steps]
    assert set(names) == {
        "committed", "confirmed", "failed", "dead-lettered", "replayed", "replay committed", "handled"
    }  # fmt: skip
    assert next(step.text for step in found.steps if step.what == "replayed") == "by ann"
    assert _arrivals(found) == {topology.NOTIFIER_QUEUE: "handled"}


def test_a_foreign_event_is_known_once_it_was_handled():
    event = uuid.uuid4()
    ProcessedEvent.objects.create(event_id=event, subscription=topology.LEADS_QUEUE)
    found = trace(event)
    assert [step.what for step in found.steps] == ["handled"]
    assert _arrivals(found) == {topology.LEADS_QUEUE: "handled"}


def test_the_trace_id_is_the_events_id():
    event = _publish()
    header = OutboxEvent.objects.get().headers["traceparent"]
    assert header == f"00-{event.id.hex}-{event.id.hex[16:]}-01"
    assert trace(event.id).traceparent == header
    assert traceparent(uuid.UUID(int=0)) == f"00-{1:032x}-{1:016x}-01"


def test_a_foreign_traceparent_is_kept_through_death_and_replay():
    theirs = f"00-{'ab' * 16}-{'cd' * 8}-00"
    archive(b"{}", death() | {"traceparent": theirs})
    letter = DeadLetter.objects.get()
    dead_letter_replay(letter_id=letter.pk, by="ann")
    assert OutboxEvent.objects.get().headers["traceparent"] == theirs
    assert trace(letter.event_id).traceparent == theirs


def test_the_command_prints_the_story_for_people_and_for_programs():
    event = _publish()
    out = io.StringIO()
    call_command("trace", str(event.id), stdout=out)
    assert "committed" in out.getvalue()
    out = io.StringIO()
    call_command("trace", str(event.id), "--json", stdout=out)
    output = json.loads(out.getvalue())
    assert output["steps"][0]["what"] == "committed"
    assert output["subscriptions"] == [
        {"queue": "notifier_queue", "state": "waiting", "text": "not confirmed by the broker yet"}
    ]
    with pytest.raises(CommandError, match="CoolThing has no record of event"):
        call_command("trace", str(uuid.uuid4()), stdout=io.StringIO())


def test_the_search_box_links_to_the_lists_with_ids_that_the_user_may_view():
    page = person("view_outboxevent", "view_hit").get("/admin/trace/").content.decode()
    hint = page[page.index("You find event ids on the pages of these objects") :]
    assert 'href="/admin/messaging/outboxevent/">' in hint and 'href="/admin/parser/hit/">hits' in hint
    assert "/admin/leads/lead/" not in hint


def test_the_search_box_leads_to_the_page():
    client, event = person("view_outboxevent"), _publish()
    assert client.get(f"/admin/trace/?id={event.id.hex}").headers["Location"] == f"/admin/trace/{event.id}/"
    assert "This is not an event id." in client.get("/admin/trace/?id=nonsense").content.decode()
    assert "bots.error" in client.get(f"/admin/trace/{event.id}/").content.decode()
    assert "CoolThing has no record of this event" in client.get(f"/admin/trace/{uuid.uuid4()}/").content.decode()


def test_steps_are_shown_to_those_who_may_see_their_rows():
    event = _publish()
    channel = Channel.objects.create(name="Secret channel", kind="file", address="/dev/null")
    Notification.objects.create(channel=channel, event_id=event.id, routing_key="bots.error", title="t")
    page = f"/admin/trace/{event.id}/"
    assert Client().get(page).status_code == 302
    assert person("view_bot").get(page).status_code == 403
    assert "Secret channel" not in person("view_outboxevent").get(page).content.decode()
    assert "Secret channel" in person("view_outboxevent", "view_notification").get(page).content.decode()


def test_a_trace_takes_a_fixed_number_of_queries(django_assert_max_num_queries):
    event = _publish()
    with django_assert_max_num_queries(12):
        trace(event.id)
