"""Suppressions in and out as CSV, by command and in the panel, and what an import does to what is queued."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

import coolthing_site.urls  # noqa: F401  It registers the pages.
from bots.models import Delivery
from campaigns import suppressing
from campaigns.models import Suppression
from campaigns.selectors import is_suppressed
from campaigns.suppressing import suppression_add
from leads.models import Lead
from tests.integration import ledger
from tests.integration.leads_world import make_world

pytestmark = pytest.mark.django_db
FILE = "telegram_user_id,username,reason\n501,,A letter\n502,anna,\n,wanderer,\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(FILE)
    return path


def command(capsys: pytest.CaptureFixture[str], *args: Any) -> str:
    call_command("suppressions", *map(str, args))
    return capsys.readouterr().out


def test_a_dry_run_counts_and_changes_nothing(file, capsys):
    suppression_add(telegram_user_id=502, source=Suppression.Source.WORDS)
    said = command(capsys, "import", file, "--dry-run")
    assert "2 would be suppressed, 1 is already; nothing was changed" in said
    assert Suppression.objects.count() == 1


def test_an_import_may_be_repeated_and_keeps_what_is_known(file, capsys, monkeypatch):
    monkeypatch.setattr(suppressing, "ROWS_AT_ONCE", 1)
    suppression_add(telegram_user_id=502, source=Suppression.Source.WORDS, reason="stop")
    assert "2 are suppressed now, 1 was already" in command(capsys, "import", file)
    assert "0 are suppressed now, 3 were already" in command(capsys, "import", file)
    assert Suppression.objects.get(telegram_user_id=501).source == "import"
    assert Suppression.objects.get(telegram_user_id=502).reason == "stop"
    assert is_suppressed(username="wanderer") and Suppression.objects.count() == 3


def test_an_import_ends_what_is_under_way_and_what_is_queued(file, capsys):
    ledger.noting_origin()
    world = make_world()
    talk = world.talk()
    bare = ledger.queue_message(world.managers[0], world.campaign, 502)
    command(capsys, "import", file)
    talk.refresh_from_db()
    bare.refresh_from_db()
    assert (talk.owner, talk.lead.state, talk.lead.state_reason) == ("none", Lead.State.OPTED_OUT, "A letter")
    assert bare.state == Delivery.State.CANCELLED


def test_a_bad_file_is_refused_whole(tmp_path, capsys):
    path = tmp_path / "bad.csv"
    path.write_text("telegram_user_id\n501\nnobody\n")
    with pytest.raises(CommandError, match=r"bad\.csv: line 3: telegram_user_id 'nobody' is no Telegram id"):
        call_command("suppressions", "import", str(path))
    with pytest.raises(CommandError, match="No such file"):
        call_command("suppressions", "import", str(tmp_path / "none.csv"))
    assert not Suppression.objects.exists()


def test_what_is_exported_can_be_imported_elsewhere(file, capsys, tmp_path):
    suppression_add(telegram_user_id=7, source=Suppression.Source.BLOCK, reason="=HYPERLINK(1)")
    command(capsys, "import", file)
    before = set(Suppression.objects.values_list("telegram_user_id", "username", "source", "reason"))
    exported = command(capsys, "export")
    assert "'=HYPERLINK(1)" in exported
    Suppression.objects.all().delete()
    (tmp_path / "out.csv").write_text(exported)
    command(capsys, "import", tmp_path / "out.csv")
    assert set(Suppression.objects.values_list("telegram_user_id", "username", "source", "reason")) == before


def test_the_panel_imports_checks_and_exports():
    client = Client()
    client.force_login(User.objects.create_superuser("olga"))
    url = reverse("admin:campaigns_suppression_import_file")

    def send(content: str, **fields: str) -> Any:
        upload = SimpleUploadedFile("people.csv", content.encode())
        return client.post(url, {"file": upload, **fields}, follow=True)

    assert "line 2: names nobody" in send("username,reason\n,x\n").content.decode()
    assert "3 would be suppressed, 0 are already" in send(FILE, dry_run="on").content.decode()
    assert not Suppression.objects.exists()
    assert "3 are suppressed now" in send(FILE).content.decode()
    exported = b"".join(client.get(reverse("admin:campaigns_suppression_export_file")))
    assert exported.decode().splitlines()[1].startswith("501,,import,A letter,")
    stranger = Client()
    stranger.force_login(User.objects.create_user("reader", is_staff=True))
    for name in ("import_file", "export_file"):
        assert stranger.get(reverse(f"admin:campaigns_suppression_{name}")).status_code in (302, 403)


def test_the_form_says_how_a_name_is_resolved():
    client = Client()
    client.force_login(User.objects.create_superuser("olga"))
    page = client.get(reverse("admin:campaigns_suppression_add")).content.decode()
    assert "until then whoever bears the name is not written to" in page
