"""Exports and erases a person's data in the parser: hits on their messages in watched chats, with the verdicts on them,
and golden texts that the person wrote.
"""

from uuid import UUID

from django.db import transaction
from django.db.models import F, Func, Q, QuerySet, TextField, Value
from django.db.models.functions import Lower

from campaigns.identifiers import named
from messaging.database.locks import rows_delete, rows_lock
from parser.models import BacktestMatch, GoldenText, Hit, HitLook, HitRepeat, SecondLook, Verdict
from privacy.person import Person
from privacy.registry import Counts, PersonalData, Rows, as_dicts


class ParserPersonalData(PersonalData):
    name = "parser"
    models = (
        "parser.Hit",
        "parser.HitLook",
        "parser.HitRepeat",
        "parser.SecondLook",
        "parser.Verdict",
        "parser.GoldenText",
        "parser.BacktestMatch",
    )

    def ids_met_as(self, username: str) -> set[int]:
        known = Hit.objects.filter(named(username))
        return set(known.values_list("telegram_user_id", flat=True))

    def usernames_of(self, telegram_user_id: int) -> set[str]:
        hits = Hit.objects.filter(telegram_user_id=telegram_user_id).exclude(username="")
        return set(hits.values_list(Lower("username"), flat=True))

    def event_ids(self, person: Person) -> set[UUID]:
        return set(_hits(person).values_list("pk", flat=True))

    def texts(self, person: Person) -> set[str]:
        hits = _hits(person)
        now = hits.exclude(edited_text="").values_list("edited_text", flat=True)
        golden = GoldenText.objects.filter(telegram_user_id__in=person.ids).values_list("text", flat=True)
        return {*hits.values_list("text", flat=True), *now, *golden}

    def export(self, person: Person) -> Rows:
        return {
            "hits": as_dicts(_hits(person)),
            "repeated messages": as_dicts(HitRepeat.objects.filter(hit__in=_hits(person))),
            "verdicts": as_dicts(Verdict.objects.filter(hit__in=_hits(person))),
            "golden texts": as_dicts(_golden_texts(person)),
            "backtest matches": as_dicts(_backtest_matches(person)),
            "second looks": as_dicts(HitLook.objects.filter(hit__in=_hits(person))),
            "blocked senders": [
                {"campaign_id": str(campaign_id), "blocked_senders": sorted(_senders(person) & set(entries))}
                for campaign_id, entries in _blocking(person).values_list("campaign_id", "blocked_senders")
            ],
        }

    @transaction.atomic
    def erase(self, person: Person) -> Counts:
        hits = rows_lock(_hits(person))
        golden, _ = GoldenText.objects.filter(pk__in=rows_lock(_golden_texts(person))).delete()
        _, deleted = Hit.objects.filter(pk__in=hits).delete()
        return {
            "hits": deleted.get("parser.Hit", 0),
            "repeated messages": deleted.get("parser.HitRepeat", 0),
            "verdicts": deleted.get("parser.Verdict", 0),
            "golden texts": golden,
            "backtest matches": rows_delete(_backtest_matches(person)),
            "second looks": deleted.get("parser.HitLook", 0),
            "blocked senders": self._unblock(person),
        }

    def _unblock(self, person: Person) -> int:
        """Remove the person from the lists of blocked senders. Returns the number of these lists."""
        found = SecondLook.objects.filter(pk__in=rows_lock(_blocking(person)))
        for settings in found:
            kept = [sender for sender in settings.blocked_senders if sender not in _senders(person)]
            SecondLook.objects.filter(pk=settings.pk).update(blocked_senders=kept)
        return len(found)


def _hits(person: Person) -> QuerySet[Hit]:
    """The person's hits, found by id, which every hit has."""
    return Hit.objects.filter(telegram_user_id__in=person.ids)


def _backtest_matches(person: Person) -> QuerySet[BacktestMatch]:
    return BacktestMatch.objects.filter(telegram_user_id__in=person.ids)


def _golden_texts(person: Person) -> QuerySet[GoldenText]:
    """Golden texts by the person, also those that came into a golden set without their author: from a file, by hand."""
    hits = _hits(person)
    written = Q(text__in=hits.values(bare=_bare("text"))) | Q(text__in=hits.values(bare=_bare("edited_text")))
    return GoldenText.objects.filter(Q(telegram_user_id__in=person.ids) | written)


def _bare(field: str) -> Func:
    """The text as a golden set keeps it: without white space around it."""
    return Func(
        F(field), Value(r"^\s+|\s+$"), Value(""), Value("g"), function="regexp_replace", output_field=TextField()
    )


def _senders(person: Person) -> set[str]:
    """The entries that stand for the person in a list of blocked senders."""
    return {*map(str, person.ids), *(f"@{name}" for name in person.usernames)}


def _blocking(person: Person) -> QuerySet[SecondLook]:
    return SecondLook.objects.filter(blocked_senders__overlap=sorted(_senders(person)))
