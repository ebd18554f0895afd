"""manage.py dead_letters and manage.py queues."""

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import CommandError, call_command
from django.utils import timezone

from messaging.broker import topology
from messaging.dead_letters.replays import replays_advance
from messaging.dead_letters.services import dead_letter_edit
from messaging.models import DeadLetter, OutboxEvent, QueueControl, QueueSample, ReplayBatch
from panelkit.rights import Shell
from tests.integration.letters import letter_of

pytestmark = pytest.mark.django_db


def run(*argv: str) -> str:
    out = io.StringIO()
    call_command(*argv, stdout=out)
    return out.getvalue()


def run_json(*argv: str) -> Any:
    return json.loads(run(*argv, "--json"))


def test_dead_letters_are_listed_with_filters():
    lead, script = letter_of(message="rye bread"), letter_of(topology.SCRIPTS_QUEUE)
    assert "2 of 2 dead letters" in run("dead_letters", "list")
    assert [letter["id"] for letter in run_json("dead_letters", "list", "--queue", "scripts_queue")] == [script.pk]
    assert [letter["id"] for letter in run_json("dead_letters", "list", "--text", "RYE")] == [lead.pk]
    assert "1 of 2 dead letters" in run("dead_letters", "list", "--limit", "1")
    assert "no dead letters" in run("dead_letters", "list", "--state", "discarded")


def test_a_dead_letter_is_shown_whole():
    dead = letter_of(message="rye bread")
    dead_letter_edit(letter_id=dead.pk, body='{"message": "wheat"}', by="ann", holder=Shell())
    text = run("dead_letters", "show", str(dead.pk))
    assert '-  "message": "rye bread"' in text
    assert "edited ann" in text
    output = run_json("dead_letters", "show", str(dead.pk))
    assert (output["edited_body"], output["history"][0]["by"]) == ('{"message": "wheat"}', "ann")
    with pytest.raises(CommandError, match="no dead letter"):
        run("dead_letters", "show", "0")


def test_a_dry_run_changes_nothing():
    letter_of()
    assert run_json("dead_letters", "replay", "--all", "--dry-run") == {
        "queues": {"leads_queue": 1}, "skipped": {}, "total": 1
    }  # fmt: skip
    assert "would be discarded" in run("dead_letters", "discard", "--all", "--dry-run")
    assert DeadLetter.objects.get().state == "open"
    assert not ReplayBatch.objects.exists()


def test_a_body_with_half_a_character_is_shown_as_it_was_written():
    dead = letter_of(message="\ud800 rye")
    assert "\\ud800 rye" in run("dead_letters", "show", str(dead.pk))


def test_stale_statistics_are_listed_with_their_age():
    figures = {"ready": 7, "unacked": 0, "consumers": 1, "published": 7, "publish_rate": 0.0, "ack_rate": 0.0}
    QueueSample.objects.create(queue=topology.LEADS_QUEUE, **figures)
    QueueSample.objects.update(at=timezone.now() - timedelta(seconds=79))
    assert "The figures are 79 s old" in run("queues", "list")
    assert run_json("queues", "list")[0]["age_seconds"] >= 79
    QueueSample.objects.update(at=timezone.now())
    assert "old" not in run("queues", "list")


def test_matching_dead_letters_are_replayed_in_the_background_and_logged():
    dead, other = letter_of(message="rye bread"), letter_of(message="cake")
    output = run_json("dead_letters", "replay", "--text", "rye", "--per-second", "5")
    batch = ReplayBatch.objects.get()
    assert (output["batch"], output["letters"]) == (str(batch.pk), 1)
    assert (batch.what, batch.per_second) == ('all dead letters with text "rye"', 5)
    replays_advance()
    assert OutboxEvent.objects.get().event_id == dead.event_id
    other.refresh_from_db()
    assert other.state == "open"
    assert LogEntry.objects.get().user.username == "command-line"


@pytest.mark.parametrize(("number", "expected"), [(1, ": 1 dead letter, at most"), (2, ": 2 dead letters, at most")])
def test_a_replay_shows_how_many_dead_letters_it_has(number: int, expected: str):
    assert expected in run("dead_letters", "replay", *(str(letter_of().pk) for _ in range(number)))


def test_dead_letters_are_chosen_by_their_numbers():
    first, second, _ = letter_of(), letter_of(), letter_of()
    assert run_json("dead_letters", "replay", str(first.pk), "--id", str(second.pk))["letters"] == 2
    assert ReplayBatch.objects.get().what == f"all dead letters with the numbers {first.pk}, {second.pk}"
    assert {item.letter_id for item in ReplayBatch.objects.get().items.all()} == {first.pk, second.pk}


def test_dead_letters_are_discarded_with_a_reason_and_logged():
    dead = letter_of()
    with pytest.raises(CommandError, match="--reason"):
        run("dead_letters", "discard", str(dead.pk))
    assert "1 dead letter was discarded" in run("dead_letters", "discard", "--id", str(dead.pk), "--reason", "a test")
    dead.refresh_from_db()
    assert (dead.state, dead.decision_reason) == ("discarded", "a test")
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.user.is_active) == (str(dead.pk), False)
    assert "a test" in entry.change_message


@pytest.mark.parametrize("action", ["replay", "discard"])
def test_everything_is_chosen_only_by_an_explicit_option(action: str):
    letter_of()
    with pytest.raises(CommandError, match="--all"):
        run("dead_letters", action)


def test_nothing_to_replay_is_an_error():
    with pytest.raises(CommandError, match="none of the selected dead letters is open"):
        run("dead_letters", "replay", "--all")


def test_a_queue_is_paused_and_resumed():
    assert "leads_queue paused" in run("queues", "pause", "leads_queue", "--reason", "too many")
    assert LogEntry.objects.get().change_message.endswith("too many")
    control = QueueControl.objects.get()
    assert (control.paused, control.reason) == (True, "too many")
    row = next(row for row in run_json("queues", "list") if row["queue"] == "leads_queue")
    assert (row["paused"], row["reason"], row["service"]) == (True, "too many", "manager")
    assert "too many" in run("queues", "list")
    run("queues", "resume", "leads_queue")
    assert not QueueControl.objects.get().paused
    assert LogEntry.objects.count() == 2


def test_a_whole_service_is_paused_and_resumed():
    run("queues", "pause", "bots", "--reason", "night")
    paused = QueueControl.objects.filter(paused=True, reason="night").values_list("queue", flat=True)
    assert set(paused) == set(topology.BOTS_QUEUES)
    run("queues", "resume", "bots")
    assert not QueueControl.objects.filter(paused=True).exists()


def test_unknown_targets_are_refused():
    with pytest.raises(CommandError, match="bakery"):
        run("queues", "pause", "bakery", "--reason", "x")
    with pytest.raises(CommandError, match="leads_dlq"):
        run("queues", "resume", "leads_dlq")
