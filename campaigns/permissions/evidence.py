"""Stores files that prove a permission, and serves them as downloads."""

from pathlib import PurePosixPath, PureWindowsPath

from django.http import HttpResponse

from campaigns.models import EVIDENCE_MOST_BYTES, EvidenceFile
from panelkit.errors import NotPossible
from texts.decoding import NotText, only_certain

NAME_LENGTH = 150
_SIGNATURES = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
)
TEXT = "text/plain"


def evidence_add(*, permission_id: int, name: str, content: bytes, by: str = "") -> EvidenceFile:
    """Store a file with the permission. Raises NotPossible if it is too large or of a kind that is not accepted."""
    if len(content) > EVIDENCE_MOST_BYTES:
        raise NotPossible(f"The file is larger than {EVIDENCE_MOST_BYTES // 2**20} MB: enter a link to it instead.")
    return EvidenceFile.objects.create(
        permission_id=permission_id,
        name=plain_name(name),
        content_type=type_of(content),
        size=len(content),
        content=content,
        uploaded_by=by[:150],
    )


def type_of(content: bytes) -> str:
    """The content type by the content: PDF, PNG, JPEG or Unicode text. Raises NotPossible for all others."""
    for signature, content_type in _SIGNATURES:
        if content.startswith(signature):
            return content_type
    try:
        text = only_certain(content)
    except NotText:
        text = ""
    if text.strip() and "\0" not in text:
        return TEXT
    raise NotPossible("The file must be a PDF, a PNG or JPEG picture, or plain text in UTF-8.")


def plain_name(name: str) -> str:
    """The last part of a path, without characters that could end a header or hide the file's extension."""
    last = PurePosixPath(PureWindowsPath(name).name).name
    kept = "".join(char for char in last if char.isprintable() and char not in '"\\/').strip(". ")
    return kept[-NAME_LENGTH:] or "evidence"


def evidence_response(file: EvidenceFile) -> HttpResponse:
    """The file as a download, with headers that keep browsers from displaying, sniffing or running it in our pages."""
    response = HttpResponse(bytes(file.content), content_type=file.content_type)
    ascii_name = file.name.encode("ascii", "replace").decode().replace("?", "_")
    response.headers["Content-Disposition"] = f'attachment; filename="{ascii_name}"'
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response.headers["Cache-Control"] = "private, no-store"
    return response
