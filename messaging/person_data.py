"""The bus's part of a person's data: bodies of events, wherever they were kept."""

import json
from collections.abc import Iterable

from django.db import transaction
from django.db.models import Q

from messaging.models import DeadLetter, DeadLetterEntry, HandlingFailure, OutboxEvent, ProcessedEvent, ReplayBatch
from messaging.persons import ERASED, Counts, Person, Room, Rows, as_dicts

_LETTER_TEXTS = ("body", "edited_body", "error", "traceback", "decision_reason")


class BusRoom(Room):
    name = "messaging"

    def export(self, person: Person) -> Rows:
        letters = _letters(person)
        return {
            "outbox": as_dicts(_outbox(person)),
            "processed_events": as_dicts(ProcessedEvent.objects.filter(event_id__in=person.event_ids)),
            "handling_failures": as_dicts(_failures(person, letters)),
            "dead_letters": as_dicts(letters),
            "dead_letter_history": as_dicts(_history(person, letters)),
            "replays": as_dicts(_replays(person)),
        }

    @transaction.atomic
    def erase(self, person: Person) -> Counts:
        """Rows that the bus counts by stay as shells. An event that has not left yet does not leave."""
        letters = _letters(person)
        failures, history, outbox = _failures(person, letters), _history(person, letters), _outbox(person)
        unsent = OutboxEvent.objects.filter(pk__in=_keys(outbox), published_at__isnull=True)
        counted = {"outbox": len(outbox), "handling_failures": len(failures), "dead_letters": len(letters)}
        unsent.delete()
        OutboxEvent.objects.filter(pk__in=_keys(outbox)).update(body="{}", headers={}, parked_reason="")
        HandlingFailure.objects.filter(pk__in=_keys(failures)).delete()
        DeadLetterEntry.objects.filter(pk__in=_keys(history)).update(note="")
        replays = _replays(person)
        ReplayBatch.objects.filter(pk__in=[row.pk for row in replays]).update(what=ERASED)
        self._empty(letters)
        return counted | {"dead_letter_history": len(history), "replays": len(replays)}

    def _empty(self, letters: list[DeadLetter]) -> None:
        kept = DeadLetter.objects.filter(pk__in=_keys(letters))
        kept.filter(state=DeadLetter.State.OPEN).update(state=DeadLetter.State.DISCARDED)
        kept.update(body="", edited_body="", headers={}, x_death=[], error="", traceback="", decision_reason=ERASED)


def _keys(rows: Iterable[OutboxEvent | DeadLetter | DeadLetterEntry | HandlingFailure]) -> list[int]:
    return [row.pk for row in rows]


def _outbox(person: Person) -> list[OutboxEvent]:
    maybe = OutboxEvent.objects.filter(Q(event_id__in=person.event_ids) | person.maybe_in("body", "parked_reason"))
    return [
        row
        for row in maybe
        if row.body != "{}" and (row.event_id in person.event_ids or person.mentioned_in(row.body, row.parked_reason))
    ]


def _letters(person: Person) -> list[DeadLetter]:
    maybe = Q(event_id__in=person.event_ids) | person.maybe_in(*_LETTER_TEXTS, "headers")
    found = []
    for row in DeadLetter.objects.filter(maybe):
        texts = [getattr(row, name) for name in _LETTER_TEXTS]
        told = row.event_id in person.event_ids or person.mentioned_in(*texts, json.dumps(row.headers))
        if told and row.body:
            found.append(row)
    return found


def _history(person: Person, letters: list[DeadLetter]) -> list[DeadLetterEntry]:
    maybe = DeadLetterEntry.objects.filter(Q(letter__in=_keys(letters)) | person.maybe_in("note")).exclude(note="")
    theirs = set(_keys(letters))
    return [row for row in maybe if row.letter_id in theirs or person.mentioned_in(row.note)]


def _failures(person: Person, letters: list[DeadLetter]) -> list[HandlingFailure]:
    """By the letters that they explain, and by what they say."""
    digests = {letter.body_digest for letter in letters}
    maybe = HandlingFailure.objects.filter(Q(body_digest__in=digests) | person.maybe_in("error", "traceback"))
    return [row for row in maybe if row.body_digest in digests or person.mentioned_in(row.error, row.traceback)]


def _replays(person: Person) -> list[ReplayBatch]:
    return [row for row in ReplayBatch.objects.filter(person.maybe_in("what")) if person.mentioned_in(row.what)]
