"""The rotation of keys, and the check for a missing key at the start of a process."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from bots.models import Bot, BotSession
from tests.integration.locks import somebody_waits_for_a_lock
from tests.support import wait_until
from vault import keyring, rotation
from vault.fields import UnreadableSecret
from vault.keys import cipher
from vault.models import KeyInUse
from vault.startup import exit_unless_readable, problem

OLD, NEW, OTHER = (Fernet.generate_key().decode() for _ in range(3))


class Keys:
    """The keys that this process has; replaced as a restart would."""

    def __init__(self, settings: Any) -> None:
        self._settings = settings

    def have(self, *keys: str) -> None:
        self._settings.FIELD_ENCRYPTION_KEYS = list(keys)
        cipher.cache_clear()


@pytest.fixture
def keys(settings: Any) -> Iterator[Keys]:
    KeyInUse.objects.all().delete()
    found = Keys(settings)
    found.have(OLD)
    yield found
    cipher.cache_clear()


@pytest.fixture(autouse=True)
def _decrypting_afresh() -> Iterator[None]:
    cipher.cache_clear()
    yield
    cipher.cache_clear()


def make_bot(name: str = "anna") -> Bot:
    bot = Bot.objects.create(key=name, role="actor", phone=f"+1555{name}", api_hash="a hash")
    BotSession.objects.create(bot=bot, data=f"session of {name}")
    return bot


def stored(bot: Bot) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT phone FROM bots_bot WHERE id = %s", [bot.pk])
        return str(cursor.fetchone()[0])


@pytest.mark.django_db
def test_after_a_rotation_the_old_key_is_not_needed(keys: Keys):
    bots = [make_bot(f"bot{number}") for number in range(5)]
    keyring.key_remember()
    keys.have(NEW, OLD)
    call_command("rotate_keys", batch=2)
    keys.have(NEW)
    assert problem() == ""
    assert [Bot.objects.get(pk=bot.pk).phone for bot in bots] == [bot.phone for bot in bots]
    assert BotSession.objects.get(bot=bots[0]).data == "session of bot0"
    assert KeyInUse.objects.count() == 1
    keys.have(OLD)
    with pytest.raises(UnreadableSecret):
        Bot.objects.get(pk=bots[0].pk)


@pytest.mark.django_db
def test_a_second_rotation_writes_nothing(keys: Keys):
    bot = make_bot()
    keys.have(NEW, OLD)
    assert sum(column.rotated for column in rotation.rotate()) == 0
    once = stored(bot)
    call_command("rotate_keys")
    assert stored(bot) == once


@pytest.mark.django_db
def test_an_interrupted_rotation_goes_on_where_it_stopped(keys: Keys):
    for number in range(4):
        make_bot(f"bot{number}")
    keys.have(NEW, OLD)

    class Interrupted(Exception):
        pass

    def stop(column: rotation.Rotated) -> None:
        if column.column == "bots.Bot.phone" and column.rotated == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        rotation.rotate(on_progress=stop, batch=2)
    counted: list[int] = []
    rotation.rotate(on_progress=lambda column: counted.append(column.rotated) if "phone" in column.column else None)
    assert counted[0] == 2
    keys.have(NEW)
    assert {bot.phone for bot in Bot.objects.all()} == {f"+1555bot{number}" for number in range(4)}


@pytest.mark.django_db
def test_a_value_that_no_key_decrypts_is_named_and_unchanged_and_its_key_stays_required(keys: Keys):
    lost, fine = make_bot("lost"), make_bot("fine")
    keyring.key_remember()
    token = Fernet(OTHER).encrypt(b"+1666").decode()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE bots_bot SET phone = %s WHERE id = %s", [token, lost.pk])
    keys.have(NEW, OLD)
    with pytest.raises(CommandError, match="no key decrypts some of the values"):
        call_command("rotate_keys")
    assert stored(lost) == token
    assert KeyInUse.objects.count() == 2
    keys.have(NEW)
    assert Bot.objects.defer("phone").get(pk=fine.pk).api_hash == "a hash"


@pytest.mark.django_db
@pytest.mark.parametrize("listed", [True, False])
def test_a_rotation_with_a_wrong_key_changes_nothing_and_the_right_one_is_still_enough(keys: Keys, listed: bool):
    bot = make_bot()
    if listed:
        keyring.key_remember()
    keys.have(OTHER)
    with pytest.raises(CommandError, match="no key decrypts some of the values"):
        call_command("rotate_keys")
    keys.have(OLD)
    assert problem() == ""
    assert Bot.objects.get(pk=bot.pk).api_hash == "a hash"


@pytest.mark.django_db(transaction=True)
def test_a_value_that_a_worker_writes_meanwhile_is_not_overwritten(keys: Keys):
    """The worker's transaction is open when rotation comes to the row, and commits while rotation waits for it."""
    bot = make_bot()
    keys.have(NEW, OLD)
    rotating = threading.Thread(target=_rotate)
    with transaction.atomic():
        Bot.objects.filter(pk=bot.pk).update(phone="+1777")
        rotating.start()
        wait_until(somebody_waits_for_a_lock, what="rotation to wait for the row")
    rotating.join(60)
    assert not rotating.is_alive()
    keys.have(NEW)
    assert Bot.objects.get(pk=bot.pk).phone == "+1777"


def _rotate() -> None:
    try:
        rotation.rotate()
    finally:
        connection.close()


@pytest.mark.django_db
def test_a_start_with_another_key_ends_with_one_line_that_repeats_no_key(keys: Keys):
    keyring.key_remember()
    make_bot()
    keys.have(OTHER)
    with pytest.raises(SystemExit) as ended:
        exit_unless_readable()
    line = str(ended.value)
    assert line.startswith("configuration: FIELD_ENCRYPTION_KEYS lacks a key") and "\n" not in line
    assert "bots.Bot.phone" in line
    assert OTHER not in line and OLD not in line


@pytest.mark.django_db
def test_a_database_that_never_saw_its_list_of_keys_is_checked_by_its_values(keys: Keys):
    make_bot()
    keys.have(OTHER)
    assert "bots.BotSession.data" in problem()
    assert not KeyInUse.objects.exists()


@pytest.mark.django_db
def test_a_key_on_record_is_missed_even_if_no_sample_needs_it(keys: Keys):
    assert problem() == ""
    keys.have(NEW, OLD)
    assert problem() == ""
    keys.have(NEW)
    assert "lacks a key" in problem()


@pytest.mark.django_db
def test_djangos_check_reports_it_too(keys: Keys):
    make_bot()
    call_command("check", databases=["default"])
    keys.have(OTHER)
    with pytest.raises(Exception, match="lacks a key"):
        call_command("check", databases=["default"])
