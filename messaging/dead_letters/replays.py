"""Replays many dead letters in the background, at a limited rate. A replay continues after any crash.

A batch and its items are rows. Beat's task sends a slice of them every few seconds. One transaction changes the letter,
the outbox row and the item, so if a worker dies, each letter has been replayed once or not at all.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Case, CharField, Count, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from messaging.broker import topology
from messaging.broker.routing import Address
from messaging.database.clock import database_clock
from messaging.dead_letters import addresses
from messaging.dead_letters.services import dead_letters_replay, is_handled
from messaging.models import DeadLetter, DeadLetterEntry, OutboxEvent, ProcessedEvent, ReplayBatch, ReplayItem
from messaging.publishing.celery_tasks import send_on_commit
from messaging.rounds import for_each
from panelkit import audit
from panelkit.errors import NotPossible

TASK = "messaging.tasks_replay.advance_replays"
# Seconds between two slices in beat's schedule.
PERIOD_SECONDS = 2.0
# A late slice makes up for at most this many seconds, and has at most this many dead letters (one transaction).
_MOST_SLICE_SECONDS = 4.0
_MOST_SLICE = 1000
DEFAULT_PER_SECOND, MOST_PER_SECOND = 50, 500

# Letters that are published to an exchange, or that may be; the others are sent to a queue by its name.
_published = Q(letter__queue="") | ~Q(letter__edited_exchange="")

State, ItemState = ReplayBatch.State, ReplayItem.State

# The outcomes of an item, with their texts on the item's page and in the batch's progress.
OUTCOMES = {
    "waiting": "not sent yet",
    "left": "not sent: the replay was stopped",
    "refused": "could not be replayed",
    "parked": "could not be published",
    "on_the_way": "sent, not handled yet",
    "handled": "handled",
    "died_again": "died again",
}


@dataclass(frozen=True)
class DryRun:
    """What a replay would send: the number of dead letters by queue ("" for their exchange), and the skipped ones."""

    by_queue: dict[str, int]
    skipped: dict[str, int]

    @property
    def total(self) -> int:
        return sum(self.by_queue.values())


def dry_run(letters: QuerySet[DeadLetter]) -> DryRun:
    """Count what a replay would send. A body that is not valid text is found only during the replay."""
    counted = letters.order_by().values_list("state", "queue", "edited_exchange", "edited_routing_key")
    by_queue: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    for state, queue, *edited, count in counted.annotate(n=Count("pk")):
        if state != DeadLetter.State.OPEN:
            skipped[f"already {state}"] += count
        elif edited[0]:
            by_queue[queue if queue in addresses.receivers(Address(*edited)) else ""] += count
        elif queue and not is_handled(queue):
            skipped[f"of {queue}, which has no subscriber"] += count
        else:
            by_queue[queue] += count
    return DryRun(dict(sorted(by_queue.items())), dict(sorted(skipped.items())))


@transaction.atomic
def replay_start(
    *,
    letters: QuerySet[DeadLetter],
    by: str,
    what: str,
    user_id: int | None = None,
    per_second: int = DEFAULT_PER_SECOND,
) -> ReplayBatch:
    """Start to replay the letters that are open now, the oldest first.

    `what` describes how they were chosen. `per_second` is the most letters a second. The batch's items show the
    progress. Raises `NotPossible` if there are no open letters.
    """
    if not 1 <= per_second <= MOST_PER_SECOND:
        raise NotPossible(f"the rate must be between 1 and {MOST_PER_SECOND} dead letters per second")
    batch = ReplayBatch.objects.create(by=by[:150], user_id=user_id, what=what, per_second=per_second)
    if not _add_items(batch, letters):
        raise NotPossible("none of the selected dead letters is open")
    send_on_commit(TASK)
    return batch


@transaction.atomic
def replay_stop(*, batch_id: UUID) -> ReplayBatch:
    """Stop the batch. The waiting letters stay open; sent messages are not taken back. Raises `NotPossible`."""
    batch = ReplayBatch.objects.select_for_update().get(pk=batch_id)
    if batch.state != State.RUNNING:
        raise NotPossible(f"the replay is {batch.state} already")
    return _finish(batch, State.STOPPED)


def replays_advance(*, now: datetime | None = None) -> int:
    """Send the next slice of every running batch. Returns the number of letters in these slices.

    May run several times at once: a batch that another process is working on is skipped.
    """
    running = ReplayBatch.objects.filter(state=State.RUNNING).order_by("created_at").values_list("pk", flat=True)
    return sum(for_each(list(running), lambda batch_id: _advance(batch_id, now or database_clock()), what="replay"))


def with_outcome(items: QuerySet[ReplayItem]) -> QuerySet[Any]:
    """Annotate the items with `outcome`, a key of OUTCOMES.

    The records of handled events are deleted after a week. After that the outcome of a handled item is "on_the_way"
    again.
    """
    died = DeadLetterEntry.objects.filter(replay=OuterRef("replay"), what=DeadLetterEntry.What.DIED_AGAIN)
    handled = ProcessedEvent.objects.filter(event_id=OuterRef("letter__event_id"))
    in_its_queue = handled.filter(subscription=OuterRef("letter__queue"))
    # A task's record has the id of the replay, because the same work may be done many times.
    task_done = ProcessedEvent.objects.filter(event_id=OuterRef("replay"), subscription=OuterRef("letter__queue"))
    anywhere = handled.filter(subscription__in=topology.SUBSCRIPTIONS)
    sent = OutboxEvent.objects.filter(event_id=OuterRef("letter__event_id"), parked_at__isnull=False)
    parked = sent.alias(replay=KeyTextTransform(topology.REPLAY_HEADER, "headers")).filter(
        replay=Cast(OuterRef("replay"), CharField())
    )
    is_processed = Q(Exists(in_its_queue)) | Q(Exists(task_done)) | Q(Exists(anywhere), _published)
    cases = [
        When(state=ItemState.WAITING, batch__state=State.STOPPED, then=Value("left")),
        When(~Q(state=ItemState.SENT), then=F("state")),
        When(Exists(parked), then=Value("parked")),
        When(Exists(died), then=Value("died_again")),
        When(is_processed, then=Value("handled")),
    ]
    return items.annotate(outcome=Case(*cases, default=Value("on_the_way"), output_field=CharField()))


def handled_since(letter: DeadLetter) -> ProcessedEvent | None:
    """The newest record that a replay of the letter was handled. Records are kept for a week."""
    replays = [entry.replay for entry in letter.history.all() if entry.replay is not None]
    # A task's record has the id of the replay.
    records = ProcessedEvent.objects.filter(event_id__in=[letter.event_id, *replays])
    if letter.queue and not letter.is_readdressed:
        records = records.filter(subscription=letter.queue)
    elif letter.is_readdressed:
        receivers = addresses.receivers(Address(letter.edited_exchange, letter.edited_routing_key))
        records = records.filter(subscription__in=receivers)
    return records.order_by("-processed_at").first()


def outcomes_of(items: Collection[int]) -> dict[int, str]:
    """The outcomes of the items with these primary keys, by primary key."""
    return dict(with_outcome(ReplayItem.objects.filter(pk__in=items)).values_list("pk", "outcome"))


def progress(batch: ReplayBatch) -> dict[str, int]:
    """The number of items by outcome."""
    counted = with_outcome(batch.items.all()).order_by().values_list("outcome").annotate(n=Count("pk"))
    return {name: dict(counted).get(name, 0) for name in OUTCOMES}


def _add_items(batch: ReplayBatch, letters: QuerySet[DeadLetter]) -> int:
    """Create items for the open letters, in one SQL statement because there may be very many. Returns their number."""
    chosen = letters.filter(state=DeadLetter.State.OPEN).order_by("first_seen_at", "pk").values("pk")
    sql, params = chosen.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {ReplayItem._meta.db_table} (batch_id, letter_id) SELECT %s, id FROM ({sql}) AS chosen (id)",
            [batch.pk, *params],
        )
        return int(cursor.rowcount)


@transaction.atomic
def _advance(batch_id: UUID, now: datetime) -> int:
    free = ReplayBatch.objects.select_for_update(skip_locked=True)
    batch = free.filter(pk=batch_id, state=State.RUNNING).first()
    if batch is None:
        return 0
    size = _slice_size(batch, now)
    items = list(batch.items.filter(state=ItemState.WAITING).order_by("id").select_related("letter")[:size])
    if items:
        _replay(batch, items, now)
        batch.advanced_at = now
        batch.save(update_fields=["advanced_at"])
    if size and len(items) < size:
        _finish(batch, State.DONE)
    return len(items)


def _slice_size(batch: ReplayBatch, now: datetime) -> int:
    """The number of letters that the batch may send since its last slice."""
    if batch.advanced_at is None:
        return min(batch.per_second, _MOST_SLICE)
    since = min(max(0.0, (now - batch.advanced_at).total_seconds()), _MOST_SLICE_SECONDS)
    return min(int(since * batch.per_second), _MOST_SLICE)


def _replay(batch: ReplayBatch, items: list[ReplayItem], now: datetime) -> None:
    outcomes = dead_letters_replay(letter_ids=[item.letter_id for item in items], by=batch.by)
    for item in items:
        outcome = outcomes[item.letter_id]
        if isinstance(outcome, str):
            item.state, item.note = ItemState.REFUSED, outcome
        else:
            item.state, item.replay = ItemState.SENT, outcome
    _write(items, now)
    if batch.user_id is not None:
        sent = (item.letter for item in items if item.state == ItemState.SENT)
        audit.record(
            *sent, message=f"Replay together with other dead letters ({batch}), by {batch.by}.", user_id=batch.user_id
        )


def _write(items: list[ReplayItem], now: datetime) -> None:
    columns = zip(*((item.pk, item.state, item.note, item.replay) for item in items), strict=True)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {ReplayItem._meta.db_table} AS item"
            " SET state = done.state, note = done.note, replay = done.replay, done_at = %s"
            " FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::uuid[]) AS done (id, state, note, replay)"
            " WHERE item.id = done.id",
            [now, *map(list, columns)],
        )


def _finish(batch: ReplayBatch, state: ReplayBatch.State) -> ReplayBatch:
    batch.state, batch.finished_at = state, database_clock()
    batch.save(update_fields=["state", "finished_at"])
    return batch
