"""Many letters replayed in the background: which, how fast, what became of each, and what a crash leaves."""

from datetime import timedelta
from threading import Event, Thread

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from messaging.broker import topology
from messaging.dead_letters.replays import dry_run, progress, replay_start, replay_stop, replays_advance
from messaging.dead_letters.services import dead_letter_discard
from messaging.models import DeadLetter, OutboxEvent, ProcessedEvent, ReplayBatch, ReplayItem
from messaging.observability.trace import trace
from panelkit.errors import NotPossible
from tests.integration.letters import archive, death, letter, letter_of

pytestmark = pytest.mark.django_db
ALL = DeadLetter.objects.all()


def _start(per_second: int = 100) -> ReplayBatch:
    return replay_start(letters=ALL, by="ann", what="all letters", per_second=per_second)


def test_a_dry_run_counts_by_queue_and_shows_what_it_skips():
    for _ in range(3):
        letter_of(topology.LEADS_QUEUE)
    letter_of(topology.SCRIPTS_QUEUE)
    letter_of("gone_queue")
    closed = letter_of(topology.SCRIPTS_QUEUE)
    dead_letter_discard(letter_id=closed.pk, reason="old", by="ann")
    counted = dry_run(ALL)
    assert counted.by_queue == {topology.LEADS_QUEUE: 3, topology.SCRIPTS_QUEUE: 1}
    assert counted.skipped == {"already discarded": 1, "of gone_queue, which has no subscriber": 1}
    assert counted.total == 4
    assert not OutboxEvent.objects.exists()


def test_open_dead_letters_are_replayed_the_oldest_first_and_no_others():
    first, second = letter_of(), letter_of()
    closed = letter_of()
    dead_letter_discard(letter_id=closed.pk, reason="old", by="ann")
    DeadLetter.objects.filter(pk=second.pk).update(first_seen_at=timezone.now() - timedelta(days=1))
    batch = _start()
    assert replays_advance() == 2
    sent = list(OutboxEvent.objects.order_by("id").values_list("event_id", flat=True))
    assert sent == [second.event_id, first.event_id]
    batch.refresh_from_db()
    assert batch.state == "done"
    assert batch.finished_at is not None


def test_a_replay_sends_no_faster_than_its_rate():
    for _ in range(25):
        letter_of()
    batch, now = _start(per_second=5), timezone.now()
    assert replays_advance(now=now) == 5
    assert replays_advance(now=now) == 0, "no time has passed"
    assert replays_advance(now=now + timedelta(seconds=1)) == 5
    assert replays_advance(now=now + timedelta(seconds=3)) == 10
    assert progress(batch)["waiting"] == 5
    assert replays_advance(now=now + timedelta(hours=1)) == 5
    batch.refresh_from_db()
    assert batch.state == "done"


def test_each_dead_letters_outcome_is_known():
    handled, again, under_way, stuck = letter_of(), letter_of(), letter_of(), letter_of()
    refused = letter(b"\xff")
    batch = _start()
    replays_advance()
    ProcessedEvent.objects.create(event_id=handled.event_id, subscription=topology.LEADS_QUEUE)
    row = OutboxEvent.objects.get(event_id=again.event_id)
    archive(row.body.encode(), row.headers | death(time=timezone.now()))
    OutboxEvent.objects.filter(event_id=stuck.event_id).update(parked_at=timezone.now(), parked_reason="too large")
    waiting = letter_of()
    ReplayItem.objects.create(batch=batch, letter=waiting)
    one_each = ("waiting", "refused", "parked", "on_the_way", "handled", "died_again")
    assert progress(batch) == {"left": 0} | dict.fromkeys(one_each, 1)
    arrival = next(arrival for arrival in trace(stuck.event_id).arrivals if arrival.queue == topology.LEADS_QUEUE)
    assert (arrival.state, arrival.text) == ("waiting", "could not be published: too large")
    assert "not UTF-8" in batch.items.get(letter=refused).note
    assert batch.items.get(letter=under_way).state == "sent"


def test_an_unroutable_dead_letter_is_handled_wherever_it_arrived():
    dead = letter_of()
    DeadLetter.objects.update(queue="")
    batch = _start()
    replays_advance()
    ProcessedEvent.objects.create(event_id=dead.event_id, subscription=topology.NOTIFIER_QUEUE)
    assert progress(batch)["handled"] == 1


def test_a_dead_letter_in_two_batches_is_sent_once():
    letter_of()
    _start()
    second = _start()
    replays_advance()
    assert OutboxEvent.objects.count() == 1
    assert second.items.get().note == "the dead letter is replayed already and cannot be replayed"


def test_a_stopped_batch_leaves_the_rest_alone():
    for _ in range(3):
        letter_of()
    batch = _start(per_second=1)
    replays_advance()
    replay_stop(batch_id=batch.pk)
    assert replays_advance(now=timezone.now() + timedelta(hours=1)) == 0
    assert DeadLetter.objects.filter(state="open").count() == 2
    assert progress(batch)["left"] == 2
    with pytest.raises(NotPossible):
        replay_stop(batch_id=batch.pk)


def test_there_must_be_something_to_replay_at_a_sensible_rate():
    with pytest.raises(NotPossible, match="none of the selected dead letters is open"):
        _start()
    letter_of()
    with pytest.raises(NotPossible, match="the rate must be between 1 and 500 dead letters per second"):
        _start(per_second=0)
    assert not ReplayBatch.objects.exists()


def test_every_replayed_dead_letter_is_in_the_log():
    user = User.objects.create_user("ann")
    dead = letter_of()
    replay_start(letters=ALL, by="ann", user_id=user.pk, what="all letters")
    replays_advance()
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (user, str(dead.pk))
    assert entry.change_message.startswith("Replay")


@pytest.mark.django_db(transaction=True)
def test_what_a_dying_worker_had_not_committed_is_sent_by_the_next_one():
    for _ in range(4):
        letter_of()
    batch = _start()

    class Killed(BaseException):
        pass

    with pytest.raises(Killed), transaction.atomic():
        assert replays_advance() == 4
        raise Killed
    assert not OutboxEvent.objects.exists()
    assert progress(batch)["waiting"] == 4
    assert replays_advance() == 4
    assert OutboxEvent.objects.count() == 4


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_send_each_dead_letter_once():
    for _ in range(5):
        letter_of()
    _start()
    holding, go_on = Event(), Event()

    def first() -> None:
        try:
            with transaction.atomic():
                replays_advance()
                holding.set()
                go_on.wait(60)
        finally:
            connection.close()

    worker = Thread(target=first)
    worker.start()
    assert holding.wait(60)
    assert replays_advance() == 0, "the other worker holds the batch"
    go_on.set()
    worker.join(60)
    assert OutboxEvent.objects.count() == 5
