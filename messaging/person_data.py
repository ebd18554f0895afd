"""Exports and erases a person's data in the bus: bodies of events, wherever they are stored."""

import json
from collections.abc import Iterable
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import Model, Q, QuerySet

from messaging.database.locks import rows_lock
from messaging.models import DeadLetter, DeadLetterEntry, HandlingFailure, OutboxEvent, ProcessedEvent, ReplayBatch
from privacy.person import Person
from privacy.registry import ERASED, Counts, PersonalData, Rows, as_dicts

AnyModel = TypeVar("AnyModel", bound=Model)

_LETTER_TEXTS = ("body", "edited_body", "error", "traceback", "decision_reason")


class BusPersonalData(PersonalData):
    name = "messaging"
    models = (
        "messaging.OutboxEvent",
        "messaging.ProcessedEvent",
        "messaging.HandlingFailure",
        "messaging.DeadLetter",
        "messaging.DeadLetterEntry",
        "messaging.ReplayBatch",
    )

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
        """Empty the rows, which statistics need. Events that have not been published yet are deleted."""
        letters = _letters(person)
        failures, history, outbox = _failures(person, letters), _history(person, letters), _outbox(person)
        counted = {"outbox": len(outbox), "handling_failures": len(failures), "dead_letters": len(letters)}
        kept = _locked(OutboxEvent, outbox)
        kept.filter(published_at__isnull=True).delete()
        kept.update(body="{}", headers={}, parked_reason="")
        _locked(HandlingFailure, failures).delete()
        replays = _replays(person)
        _locked(ReplayBatch, replays).update(what=ERASED)
        self._empty(letters)
        _locked(DeadLetterEntry, history).update(note="")
        return counted | {"dead_letter_history": len(history), "replays": len(replays)}

    def _empty(self, letters: list[DeadLetter]) -> None:
        kept = _locked(DeadLetter, letters)
        kept.filter(state=DeadLetter.State.OPEN).update(state=DeadLetter.State.DISCARDED)
        kept.update(body="", edited_body="", headers={}, x_death=[], error="", traceback="", decision_reason=ERASED)


def _keys(rows: Iterable[Model]) -> list[Any]:
    return [row.pk for row in rows]


def _locked(model: type[AnyModel], rows: Iterable[AnyModel]) -> QuerySet[AnyModel]:
    return model._default_manager.filter(pk__in=rows_lock(model._default_manager.filter(pk__in=_keys(rows))))


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
        mentioned = row.event_id in person.event_ids or person.mentioned_in(*texts, json.dumps(row.headers))
        if mentioned and row.body:
            found.append(row)
    return found


def _history(person: Person, letters: list[DeadLetter]) -> list[DeadLetterEntry]:
    maybe = DeadLetterEntry.objects.filter(Q(letter__in=_keys(letters)) | person.maybe_in("note")).exclude(note="")
    theirs = set(_keys(letters))
    return [row for row in maybe if row.letter_id in theirs or person.mentioned_in(row.note)]


def _failures(person: Person, letters: list[DeadLetter]) -> list[HandlingFailure]:
    """Failures of these dead letters, and failures whose text mentions the person."""
    digests = {letter.body_digest for letter in letters}
    maybe = HandlingFailure.objects.filter(Q(body_digest__in=digests) | person.maybe_in("error", "traceback"))
    return [row for row in maybe if row.body_digest in digests or person.mentioned_in(row.error, row.traceback)]


def _replays(person: Person) -> list[ReplayBatch]:
    return [row for row in ReplayBatch.objects.filter(person.maybe_in("what")) if person.mentioned_in(row.what)]
