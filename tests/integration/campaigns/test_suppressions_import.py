"""Suppressions in and out as CSV, by command and in the panel, and what an import does to what is queued."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

import coolthing_site.urls  # noqa: F401  It registers the pages.
from bots.models import Delivery
from campaigns.admin import suppression_imports
from campaigns.models import Suppression
from campaigns.suppressions import bulk
from campaigns.suppressions.bulk import SuppressionEntry, suppressions_import
from campaigns.suppressions.lookup import is_suppressed
from campaigns.suppressions.recording import suppression_add
from leads.models import Lead
from messaging.retention import prune_all
from tests.integration import ledger
from tests.integration.leads_world import World, make_world

pytestmark = pytest.mark.django_db
FILE = "telegram_user_id,username,reason\n501,,A letter\n502,anna,\n,wanderer,\n"
IMPORT, PREVIEW = (reverse(f"admin:campaigns_suppression_{name}") for name in ("import_file", "preview"))
WORDS, IMPORTED = Suppression.Source.WORDS, Suppression.Source.IMPORT


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(FILE)
    return path


def command(capsys: pytest.CaptureFixture[str], *args: Any) -> str:
    call_command("suppressions", *map(str, args))
    return capsys.readouterr().out


def test_a_dry_run_shows_what_is_in_a_file_and_changes_nothing(tmp_path, capsys):
    suppression_add(telegram_user_id=502, source=WORDS)
    path = tmp_path / "people.csv"
    path.write_bytes(f"{FILE},Wanderer,\n".replace(",", "\t").encode("utf-16"))
    output = command(capsys, "import", path, "--dry-run")
    for line in (
        "encoding: UTF-16, little-endian, by its byte order mark",
        "separator: tab",
        "columns: telegram_user_id, username, reason",
        "skipped: line 5: is the same person as line 4",
        "2 would be suppressed, 1 is already suppressed, 0 damaged, 1 skipped",
        "nothing was changed",
    ):
        assert f"{path}: {line}" in output
    assert Suppression.objects.count() == 1


def test_an_import_may_be_repeated_and_keeps_what_is_known(file, capsys, monkeypatch):
    monkeypatch.setattr(bulk, "ROWS_AT_ONCE", 1)
    suppression_add(telegram_user_id=502, source=WORDS, reason="stop")
    assert "2 are now suppressed, 1 was suppressed before" in command(capsys, "import", file)
    assert "0 are now suppressed, 3 were suppressed before" in command(capsys, "import", file)
    assert Suppression.objects.get(telegram_user_id=501).source == "import"
    assert Suppression.objects.get(telegram_user_id=502).reason == "stop"
    assert is_suppressed(username="wanderer") and Suppression.objects.count() == 3


def test_an_import_ends_what_is_under_way_and_what_is_queued(file, capsys):
    ledger.noting_origin()
    world = make_world()
    conversation = world.conversation()
    bare = ledger.queue_message(world.managers[0], world.campaign, 502)
    by_name = ledger.queue_message(world.managers[0], world.campaign, None, peer_username="Wanderer")
    command(capsys, "import", file)
    conversation.refresh_from_db()
    assert (conversation.owner, conversation.lead.state, conversation.lead.state_reason) == (
        "none",
        Lead.State.OPTED_OUT,
        "A letter",
    )
    for delivery in (bare, by_name):
        delivery.refresh_from_db()
        assert delivery.state == Delivery.State.CANCELLED


def test_names_become_the_ids_of_those_who_were_seen_under_them(world: World):
    """One by one or all at once: a lead by id, one that only the name is known of, and a name that got its id."""
    known = world.receive(telegram_user_id=601, username="Anna")
    named = world.receive(telegram_user_id=None, username="boris")
    suppression_add(telegram_user_id=None, username="carla", source=WORDS)
    entries = [
        SuppressionEntry(None, "anna", IMPORTED),
        SuppressionEntry(601, "", IMPORTED),
        SuppressionEntry(None, "BORIS", IMPORTED),
        SuppressionEntry(603, "Carla", IMPORTED),
    ]
    assert bulk.suppressions_known(entries) == 1
    assert suppressions_import(entries=entries) == 3
    found = Suppression.objects.order_by("telegram_user_id").values_list("telegram_user_id", "username", "resolved_by")
    assert list(found) == [(601, "anna", "our own records"), (603, "carla", ""), (None, "boris", "")]
    for lead in (known, named):
        lead.refresh_from_db()
        assert lead.state == Lead.State.OPTED_OUT
    assert suppressions_import(entries=entries) == 0


@pytest.mark.parametrize("by", ["id", "name"])
def test_the_number_of_statements_does_not_grow_with_that_of_people(world: World, by: str):
    def make(number: int) -> SuppressionEntry:
        return (
            SuppressionEntry(number, "", IMPORTED) if by == "id" else SuppressionEntry(None, f"name{number}", IMPORTED)
        )

    def statements(first: int, last: int) -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            assert suppressions_import(entries=[make(number) for number in range(first, last)]) == last - first
        return len(seen)

    assert statements(1000, 1010) == statements(2000, 2400)


def test_a_file_with_damaged_lines_is_refused_unless_they_are_to_be_left_out(tmp_path, capsys):
    path = tmp_path / "bad.csv"
    path.write_text("telegram_user_id\n501\nnobody\n1.23E+08\n")
    for more in ([], ["--dry-run"]):
        with pytest.raises(CommandError, match=r"bad\.csv: 2 lines are damaged, nothing was changed"):
            call_command("suppressions", "import", str(path), *more)
    assert "damaged: line 3: telegram_user_id 'nobody' is not the Telegram id" in capsys.readouterr().out
    with pytest.raises(CommandError, match="No such file"):
        call_command("suppressions", "import", str(tmp_path / "none.csv"))
    assert not Suppression.objects.exists()
    assert "1 is now suppressed, 0 were suppressed before" in command(capsys, "import", path, "--skip-damaged")


def test_what_cannot_be_read_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "people.xlsx"
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(CommandError, match=r"people\.xlsx: it is a spreadsheet.* save it as CSV$"):
        call_command("suppressions", "import", str(path))


def test_encoding_and_separator_can_be_given(tmp_path, capsys):
    path = tmp_path / "people.csv"
    path.write_bytes("username|reason\nmaria|źle\n".encode("cp1250"))
    command(capsys, "import", path, "--encoding", "cp1250", "--separator", "vertical bar")
    assert Suppression.objects.get().reason == "źle"


def test_what_is_exported_can_be_imported_elsewhere_and_calculates_nothing(file, capsys, tmp_path):
    suppression_add(telegram_user_id=7, source=Suppression.Source.BLOCK, reason="=HYPERLINK(1)")
    command(capsys, "import", file)
    before = set(Suppression.objects.values_list("telegram_user_id", "username", "source", "reason"))
    exported = command(capsys, "export")
    assert "'=HYPERLINK(1)" in exported
    Suppression.objects.all().delete()
    (tmp_path / "out.csv").write_text(exported)
    command(capsys, "import", tmp_path / "out.csv")
    assert set(Suppression.objects.values_list("telegram_user_id", "username", "source", "reason")) == before
    # No Telegram username, but another program may have sent it as one.
    suppression_add(telegram_user_id=8, username="=1+1", source=Suppression.Source.BLOCK)
    assert "8,'=1+1," in command(capsys, "export")


# In the panel.


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("olga"))
    return client


def upload(client: Client, content: bytes, name: str = "people.csv") -> str:
    answer = client.post(IMPORT, {"file": SimpleUploadedFile(name, content)}, follow=True)
    return str(answer.content.decode())


def decide(client: Client, step: str, **fields: str) -> str:
    page = client.get(PREVIEW)
    token = page.context["draft"].token
    return str(client.post(PREVIEW, {"step": step, "token": token, **fields}, follow=True).content.decode())


def kept() -> int:
    """Rows of the session store beside the session of the login."""
    return Session.objects.count() - 1


def test_the_panel_shows_how_the_file_was_read_and_applies_that(client: Client):
    suppression_add(telegram_user_id=502, source=WORDS)
    page = upload(client, f"{FILE}1.5E+9,,\n501,,\n".replace(",", ";").encode("utf-16"))
    for text in (
        "UTF-16, little-endian, by its byte order mark",
        "semicolon",
        "A letter",
        "line 5: telegram_user_id &#x27;1.5E+9&#x27; is damaged: a spreadsheet has rounded",
        "line 6: is the same person as line 2",
        "Suppress 2 people, leave out 1 damaged line",
    ):
        assert text in page
    assert (Suppression.objects.count(), kept()) == (1, 1)
    assert "people.csv" not in "".join(Session.objects.values_list("session_data", flat=True))
    page = decide(client, "apply")
    assert "2 people are suppressed now; 1 was suppressed already. 1 damaged line was left out." in page
    assert (Suppression.objects.count(), kept()) == (3, 0)
    assert "No file is waiting to be imported" in client.get(PREVIEW, follow=True).content.decode()


def test_another_encoding_and_separator_are_chosen_on_the_preview(client: Client):
    upload(client, "username,reason\nmaria,źle\n".encode("cp1250"))
    assert "źle" not in client.get(PREVIEW).content.decode()
    assert "źle" in decide(client, "read", encoding="cp1250")
    assert "cannot be imported: line 1: the file needs a column telegram_user_id or username" in decide(
        client, "read", encoding="cp1250", separator=";"
    )
    assert "cannot be imported: it is not UTF-8" in decide(client, "read", encoding="utf-8")
    decide(client, "read", encoding="cp1250", separator=",")
    decide(client, "apply")
    assert Suppression.objects.get().reason == "źle"


def test_a_file_that_was_not_shown_is_not_applied(client: Client):
    upload(client, FILE.encode())
    seen = client.get(PREVIEW).context["draft"].token
    upload(client, b"username\nsomebody_else\n")
    page = client.post(PREVIEW, {"step": "apply", "token": seen}, follow=True).content.decode()
    assert "Check the new preview" in page and "somebody_else" in page
    assert (Suppression.objects.count(), kept()) == (0, 1)


def test_a_file_is_deleted_when_the_import_is_cancelled_or_after_an_hour(client: Client):
    upload(client, FILE.encode())
    assert "Nothing was imported" in decide(client, "drop")
    assert kept() == 0
    upload(client, FILE.encode())
    expiring = Session.objects.order_by("expire_date")[0]
    assert expiring.expire_date < timezone.now() + timedelta(hours=1, minutes=1)
    Session.objects.filter(pk=expiring.pk).update(expire_date=timezone.now() - timedelta(seconds=1))
    assert "No file is waiting to be imported" in client.get(PREVIEW, follow=True).content.decode()
    assert prune_all()["django_session"] == 1
    assert kept() == 0


def test_a_file_without_a_table_or_too_large_is_refused_with_an_explanation(client: Client, monkeypatch: Any):
    assert "people.xlsx cannot be imported: it is a spreadsheet" in upload(client, b"PK\x03\x04", "people.xlsx")
    assert "Suppress " not in client.get(PREVIEW).content.decode()
    assert "cannot be imported" in decide(client, "apply")
    monkeypatch.setattr(suppression_imports, "MOST_BYTES", 10)
    assert "The file is larger than 20 MB: split it" in upload(client, FILE.encode())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_panel_takes_so_many_lines_and_names_the_command_for_more(
    client: Client, monkeypatch: Any, encoding: str, end: str
):
    assert "20 MB and 100,000 lines" in client.get(IMPORT).content.decode()
    monkeypatch.setattr(suppression_imports, "MOST_LINES", 4)
    file = FILE.replace("\n", end)
    assert "Suppress 3 people" in upload(client, file.encode(encoding))
    decide(client, "drop")
    page = upload(client, f"{file}777,,{end}".encode(encoding))
    assert "The file has more than 4 lines" in page and "manage.py suppressions import" in page
    assert kept() == 0


def test_who_may_not_add_suppressions_may_not_import(client: Client):
    upload(client, FILE.encode())
    stranger = Client()
    stranger.force_login(User.objects.create_user("reader", is_staff=True))
    export = reverse("admin:campaigns_suppression_export_file")
    for url in (IMPORT, PREVIEW, export):
        assert stranger.get(url).status_code in (302, 403)
    assert stranger.post(PREVIEW, {"step": "apply"}).status_code == 403
    exported = b"".join(client.get(export))
    assert exported.decode().startswith("telegram_user_id,username,source,reason,created_at")


def test_the_form_explains_how_a_username_is_resolved(client: Client):
    page = client.get(reverse("admin:campaigns_suppression_add")).content.decode()
    assert "applies to every person with this username" in page
