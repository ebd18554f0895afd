"""What may be kept as evidence is judged by its content, never by its name."""

import pytest

from campaigns.models import EvidenceFile
from campaigns.permissions.evidence import evidence_response, plain_name, type_of
from panelkit.errors import NotPossible


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"%PDF-1.7\n...", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n...", "image/png"),
        (b"\xff\xd8\xff\xe0...", "image/jpeg"),
        ("Письмо: да, можно.".encode(), "text/plain"),
        ("Письмо: да, можно.".encode("utf-8-sig"), "text/plain"),
        ("Письмо: да, можно.".encode("utf-16"), "text/plain"),
        (b"<html><script>alert(1)</script>", "text/plain"),
    ],
)
def test_the_type_of_a_file_is_decided_by_its_content(content, content_type):
    assert type_of(content) == content_type


@pytest.mark.parametrize("content", [b"", b"  \n", b"MZ\x90\x00\x03", b"PK\x03\x04\xff\xfe", b"text\x00with a NUL"])
def test_other_files_are_not_taken(content):
    with pytest.raises(NotPossible, match="PDF"):
        type_of(content)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("letter.pdf", "letter.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\letters\\may.pdf", "may.pdf"),
        ('a"\r\nSet-Cookie: x.pdf', "aSet-Cookie: x.pdf"),
        ("...", "evidence"),
        ("", "evidence"),
    ],
)
def test_a_name_is_kept_without_path_and_without_what_ends_a_header(given, kept):
    assert plain_name(given) == kept


def test_a_file_is_handed_out_as_a_download_only():
    file = EvidenceFile(name="письмо.txt", content_type="text/plain", content=b"<script>", size=8)
    answer = evidence_response(file)
    assert answer.content == b"<script>"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="______.txt"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
