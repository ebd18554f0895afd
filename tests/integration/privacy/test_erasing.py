"""A person's data is handed out whole and erased everywhere."""

import json

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from bots.deliveries.claiming import claim
from campaigns.erasing import person_erase, person_named
from campaigns.models import HashKey, Suppression
from campaigns.policy import locks
from campaigns.suppressions.lookup import is_erased, is_suppressed
from campaigns.suppressions.recording import suppression_add
from leads.models import Lead
from messaging.models import DeadLetter
from panelkit.errors import NotPossible
from panelkit.rights import Shell
from parser.models import Hit
from privacy.exporting import person_export, person_find
from privacy.person import Person
from privacy.registry import rooms
from tests.integration import ledger
from tests.integration.leads_world import handle_lead
from tests.integration.person_world import (
    ANSWER,
    ID,
    NAME,
    OTHER_ID,
    OTHER_NAME,
    TABLES,
    WORDS,
    counted,
    erase,
    fill,
    search,
)

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("identifier", [str(ID), f"@{NAME}"])
def test_nothing_of_an_erased_person_is_in_any_table(world, identifier):
    fill(world)
    before = {place.table for place in search(str(ID), NAME, WORDS, ANSWER)}
    assert before >= TABLES, TABLES - before
    budgets, others = counted(), search(str(OTHER_ID), OTHER_NAME)
    person_erase(person_named(identifier), by=Shell())
    # Somebody else's event has a message with the same number: it is not about the person.
    left = [place for place in search(str(ID), NAME, WORDS, ANSWER) if place.found != str(ID)]
    assert left == []
    numbers = [place.table for place in search(f'"user_id": {ID}', f'"telegram_user_id": {ID}', f"({ID}", f",{ID},")]
    assert numbers == []
    assert counted() == budgets
    assert search(str(OTHER_ID), OTHER_NAME) == others


def test_only_another_persons_event_still_has_the_number(world):
    fill(world)
    erase()
    tables = {place.table for place in search(str(ID))}
    assert tables == {
        "messaging_deadletter",
        "messaging_deadletterentry",
        "messaging_handlingfailure",
        "notifier_notification",
    }
    assert [letter.body for letter in DeadLetter.objects.exclude(body="")] == [
        json.dumps({"user_id": OTHER_ID, "message_id": ID, "text": "Something else"})
    ]


def test_the_suppression_stays_as_a_keyed_hash_and_holds(world):
    fill(world)
    erase()
    [row] = Suppression.objects.exclude(person_hash="")
    assert (row.telegram_user_id, row.username, row.reason, len(row.person_hash)) == (None, "", "", 64)
    assert is_erased(telegram_user_id=ID) and is_suppressed(telegram_user_id=ID)
    assert not is_suppressed(telegram_user_id=OTHER_ID + 1)
    ledger.noting_origin()
    delivery = ledger.queue_message(world.managers[0], world.campaign, ID)
    assert claim(ledger.owners(*world.managers)).refused == 1
    delivery.refresh_from_db()
    assert delivery.error == "This person asked not to be written to."
    with connection.cursor() as cursor:
        cursor.execute("SELECT key FROM campaigns_hashkey")
        assert HashKey.objects.get().key not in cursor.fetchone()[0], "the key is encrypted"


def test_erasing_again_finds_nothing_and_harms_nothing(world):
    fill(world)
    erase()
    assert person_find(person_named(str(ID))).total == 0
    erase()
    assert suppression_add(telegram_user_id=ID, username=NAME, source=Suppression.Source.OPERATOR).person_hash
    assert search(NAME) == [] and Suppression.objects.exclude(person_hash="").count() == 1


@pytest.mark.parametrize("identifier", [str(ID), f"@{NAME}"])
def test_an_erasure_counts_the_rows_from_before_it_and_no_entry_of_its_own(world, identifier):
    fill(world)
    assert sum(person_erase(person_named(identifier), by=Shell())[0].values()) > 20
    assert sum(person_erase(person_named(identifier), by=Shell())[0].values()) == 0
    assert sum(person_erase(person_named("@never_met"), by=Shell())[0].values()) == 0


def test_a_suppression_deleted_during_an_erasure_leaves_the_person_suppressed(world, monkeypatch):
    fill(world)
    close = locks.erasures_lock_exclusive

    def deleted() -> None:
        close()
        Suppression.objects.filter(telegram_user_id=ID).delete()

    monkeypatch.setattr(locks, "erasures_lock_exclusive", deleted)
    erase()
    assert is_suppressed(telegram_user_id=ID) and search(NAME, WORDS) == []


@pytest.mark.parametrize("room", [room.name for room in rooms()])
def test_an_erasure_that_was_cut_off_is_done_by_doing_it_again(world, monkeypatch, room):
    fill(world)

    def stop(person: Person) -> None:
        raise RuntimeError("the machine stops")

    broken = next(part for part in rooms() if part.name == room)
    monkeypatch.setattr(broken, "erase", stop)
    with pytest.raises(RuntimeError):
        erase()
    monkeypatch.undo()
    assert is_erased(telegram_user_id=ID)
    erase()
    assert search(NAME, WORDS, ANSWER) == []


def test_an_export_contains_all_rows_as_plain_json(world, capsys):
    fill(world)
    call_command("export_person", str(ID))
    exported = json.loads(capsys.readouterr().out)
    assert (exported["telegram_user_id"], exported["usernames"], exported["notes"]) == (ID, [NAME.lower()], [])
    kinds = {f"{room}.{kind}": len(rows) for room, kinds in exported["held"].items() for kind, rows in kinds.items()}
    assert all(kinds.values()), kinds
    assert {message["text"] for message in exported["held"]["leads"]["messages"]} >= {WORDS, ANSWER}
    assert str(OTHER_ID) not in json.dumps(exported["held"]["parser"])


def test_the_command_counts_asks_and_erases(world, capsys, monkeypatch):
    fill(world)
    call_command("erase_person", f"@{NAME}", "--dry-run")
    out = capsys.readouterr().out
    assert "1  leads: leads" in out and "1  parser: hits" in out and "nothing was changed" in out
    monkeypatch.setattr("builtins.input", lambda _: "no")
    with pytest.raises(CommandError, match="nothing was changed"):
        call_command("erase_person", str(ID))
    assert Lead.objects.filter(telegram_user_id=ID).exists()
    monkeypatch.setattr("builtins.input", lambda _: "yes")
    call_command("erase_person", str(ID))
    assert "erased: " in capsys.readouterr().out
    assert search(NAME) == []


@pytest.mark.parametrize("who", ["maria", "@", "-100501", "0", "x y"])
def test_the_command_needs_to_know_the_person(who):
    with pytest.raises(NotPossible, match="neither a Telegram id nor"):
        person_named(who)


def test_a_username_of_several_people_needs_an_id_and_is_left_to_the_others(world):
    world.receive(telegram_user_id=ID, username=NAME)
    other = world.receive(telegram_user_id=OTHER_ID, username=NAME)
    Hit.objects.create(
        campaign=world.campaign, bot=world.parser, chat=world.chat, message_id=1, telegram_user_id=ID, username=NAME,
        text=WORDS, keyword="tea", said_at=ledger.START,
    )  # fmt: skip
    with pytest.raises(NotPossible, match=f"enter one of the ids {ID}, {OTHER_ID} instead"):
        person_named(f"@{NAME}")
    found = person_find(person_named(str(ID)))
    assert "Another person has or had the username @" in found.notes[0]
    erase()
    assert [lead.pk for lead in Lead.objects.all()] == [other.pk]


def test_a_person_known_by_username_only_is_erased_by_username_and_gets_the_id_when_it_is_learned(world):
    world.receive(telegram_user_id=None, username=NAME)
    person_erase(person_named(f"@{NAME}"), by=Shell())
    assert search(NAME) == []
    handle_lead(world.event(telegram_user_id=None, username=NAME))
    handle_lead(world.event(telegram_user_id=ID, username=NAME))
    assert not Lead.objects.exists()
    assert is_erased(telegram_user_id=ID) and not is_erased(telegram_user_id=None, username=NAME)
    handle_lead(world.event(telegram_user_id=OTHER_ID, username=NAME))
    assert Lead.objects.get().telegram_user_id == OTHER_ID


def test_a_person_erased_by_username_stays_erased_though_a_suppression_of_the_id_existed(world):
    suppression_add(telegram_user_id=ID, source=Suppression.Source.OPERATOR, reason="from a file")
    world.receive(telegram_user_id=None, username=NAME)
    person_erase(person_named(f"@{NAME}"), by=Shell())
    handle_lead(world.event(telegram_user_id=ID, username=NAME))
    assert is_erased(telegram_user_id=ID) and not Lead.objects.exists()
    assert search(str(ID), NAME, "from a file") == []
    assert Suppression.objects.exclude(person_hash="").count() == 1


def test_a_person_is_recognised_in_what_other_programs_write():
    person = Person(ID, frozenset({"quiet_maria"}), texts=frozenset({WORDS, "Привет, это «я»!"}))
    for text in (
        f'{{"a": [{{"sender_id": {ID}}}]}}',
        '{"username": "@QUIET_maria"}',
        f'{{"text": "user {ID} wrote"}}',
        "hello @Quiet_Maria, bye",
        f"ValueError: {WORDS}!",
        json.dumps({"x": "Привет, это «я»!"}),
    ):
        assert person.mentioned_in(text), text
    for text in (
        f'{{"message_id": {ID}}}',
        f'{{"chat_id": -{ID}}}',
        f'{{"text": "{ID}0"}}',
        "quiet_maria is two words",
        "hello @Quiet_Maria2",
        "",
    ):
        assert not person.mentioned_in(text), text


def test_the_export_of_an_unknown_person_is_empty():
    exported = person_export(Person(12345), by=Shell())
    assert not any(rows for kinds in exported["held"].values() for rows in kinds.values())
