"""Permissions in the panel: recorded with a file, suspended and resumed, and who may read the files."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

import coolthing_site.urls  # noqa: F401  It registers the pages.
from campaigns.models import Chat, ChatPermission, EvidenceFile
from campaigns.permissions.services import permission_revoke, permissions_suspend
from campaigns.permissions.validity import is_permitted
from tests.integration import ledger

pytestmark = pytest.mark.django_db
SCRIPT = ChatPermission.Grant.SCRIPT
LETTER = b"%PDF-1.7 a letter"


@pytest.fixture
def chat() -> Chat:
    return ledger.make_chat()


@pytest.fixture
def operator() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("olga"))
    return client


def record(client: Client, chat: Chat, **facts: Any) -> Any:
    form = {
        "chat": str(chat.pk),
        "purpose": "script",
        "granted_by": "@owner",
        "granted_at_0": "2026-11-01",
        "granted_at_1": "12:00:00",
        "evidence": "A letter",
        **files_form(),
        **facts,
    }
    return client.post(reverse("admin:campaigns_chatpermission_add"), form)


def files_form() -> dict[str, str]:
    return {"files-TOTAL_FORMS": "0", "files-INITIAL_FORMS": "0"}


def add_on_chats_page(client: Client, chat: Chat, *purposes: str) -> Any:
    form = {"key": chat.key, "reference": chat.reference, "title": chat.title, "label": chat.label}
    rows: dict[str, Any] = {"permissions-TOTAL_FORMS": len(purposes), "permissions-INITIAL_FORMS": 0}
    for place, purpose in enumerate(purposes):
        given = {"purpose": purpose, "granted_by": "@owner", "evidence": "A letter"}
        given |= {"granted_at_0": "2026-11-01", "granted_at_1": "12:00:00"}
        rows |= {f"permissions-{place}-{name}": value for name, value in given.items()}
    return client.post(reverse("admin:campaigns_chat_change", args=[chat.pk]), {**form, **rows})


@pytest.mark.parametrize(
    ("purposes", "added"), [(["script"], 0), (["parse", "parse"], 0), (["parse", "first_contact"], 2)]
)
def test_a_chats_page_takes_one_permission_for_a_purpose(chat, operator, purposes: list[str], added: int):
    answer = add_on_chats_page(operator, chat, *purposes)
    assert ("A permission for this purpose is on record" in answer.content.decode()) is (added == 0)
    assert chat.permissions.count() == 1 + added


def test_a_chats_page_takes_a_permission_after_the_old_one_was_revoked(chat, operator):
    permission_revoke(chat_id=chat.pk, purpose=SCRIPT)
    assert add_on_chats_page(operator, chat, "script").status_code == 302
    assert chat.permissions.filter(revoked_at=None).count() == 1


def page(permission: ChatPermission, operation: str) -> str:
    return reverse("admin:campaigns_chatpermission_operate", args=[permission.pk, operation])


def test_recording_a_newer_permission_ends_the_old_one_and_keeps_the_file(chat, operator):
    old = chat.permissions.get()
    upload = SimpleUploadedFile("..\\letter.pdf", LETTER, content_type="text/html")
    facts = {"valid_until_0": "2030-01-01", "valid_until_1": "00:00", "members_told": "The pin says so."}
    assert record(operator, chat, evidence_file=upload, **facts).status_code == 302
    old.refresh_from_db()
    new = chat.permissions.get(revoked_at=None)
    assert old.revoked_at is not None and new.members_told == "The pin says so."
    file = EvidenceFile.objects.get()
    assert (file.permission, file.name, file.content_type) == (new, "letter.pdf", "application/pdf")
    assert (bytes(file.content), file.uploaded_by) == (LETTER, "olga")


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ({"valid_until_0": "2026-10-01", "valid_until_1": "00:00"}, "The permission would end before it begins."),
        ({"evidence_file": SimpleUploadedFile("x.exe", b"MZ\xff\xfe\x00")}, "The file must be a PDF"),
        ({"evidence_file": SimpleUploadedFile("x.pdf", b"%PDF-" + b"0" * 5 * 2**20)}, "at most 5 MB"),
        ({"evidence_link": "javascript:alert(1)"}, "Enter a valid URL."),
    ],
)
def test_what_makes_no_sense_is_not_recorded(chat, operator, facts, problem):
    answer = record(operator, chat, **facts)
    assert answer.status_code == 200 and problem in answer.content.decode()
    assert ChatPermission.objects.count() == 1 and not EvidenceFile.objects.exists()


def test_a_file_is_added_later_and_read_by_operators_only(chat, operator):
    permission = chat.permissions.get()
    upload = SimpleUploadedFile("pin.png", b"\x89PNG\r\n\x1a\n...")
    assert operator.post(page(permission, "file"), {"file": upload}).status_code == 302
    url = reverse("admin:campaigns_evidencefile_download", args=[EvidenceFile.objects.get().pk])
    assert operator.get(url).headers["Content-Disposition"] == 'attachment; filename="pin.png"'
    assert Client().get(url).status_code == 302
    reader = Client()
    reader.force_login(User.objects.create_user("reader", is_staff=True))
    assert reader.get(url).status_code == 404
    User.objects.get(username="reader").user_permissions.set(Permission.objects.filter(codename="view_evidencefile"))
    assert reader.get(url).status_code == 200


def test_a_suspended_permission_is_resumed_after_a_confirmation(chat, operator):
    permissions_suspend(chat_id=chat.id, reason="CHAT_WRITE_FORBIDDEN")
    permission = chat.permissions.get()
    shown = operator.get(reverse("admin:campaigns_chatpermission_change", args=[permission.pk])).content.decode()
    assert "CHAT_WRITE_FORBIDDEN" in shown
    assert "Ask the chat&#x27;s owner first" in operator.get(page(permission, "resume")).content.decode()
    assert not is_permitted(chat_id=chat.id, purpose=SCRIPT)
    operator.post(page(permission, "resume"))
    assert is_permitted(chat_id=chat.id, purpose=SCRIPT)


def test_revoking_keeps_the_reason(chat, operator):
    operator.post(page(chat.permissions.get(), "revoke"), {"reason": "The owner called."})
    assert chat.permissions.get().revoked_reason == "The owner called."
