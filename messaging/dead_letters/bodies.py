"""Bodies of dead letters: how they are shown, compared and checked after an edit."""

import difflib
import json
import re
import uuid
from dataclasses import dataclass
from typing import Any, NoReturn

from messaging.events import MAX_BODY_BYTES
from messaging.messages import body_digest
from messaging.models import DeadLetter
from messaging.wire import storable
from panelkit.errors import NotPossible
from texts import decoding
from texts.json_text import from_json

# The most lines that are compared: the time grows with the square of the number of different lines.
_MOST_COMPARED_LINES = 2000
# `messaging.dead_letters.archive.readable` writes bytes that are not UTF-8, and NUL, in this form.
_WRITTEN_BYTE = re.compile(rb"\\x(00|[89a-f][0-9a-f])")


@dataclass(frozen=True)
class Draft:
    """The initial text of the editor, and a note about it if it is not simply the original body."""

    text: str
    note: str = ""


def draft(letter: DeadLetter) -> Draft:
    """The text to edit. A body in another encoding, or a compressed one, is decoded."""
    original = original_bytes(letter)
    if letter.edited_body or original is None or original == letter.body.encode():
        return Draft(indented(letter.body_to_send))
    try:
        plain = decoding.unpacked(original, MAX_BODY_BYTES)
        found = decoding.decode(plain)
    except decoding.NotText as problem:
        return Draft(
            letter.body, f"The body cannot be read as text: {problem}. Enter a new body, or discard the dead letter."
        )
    packed = "compressed and " if plain != original else ""
    note = (
        f"The body was {packed}in {found.encoding_name}, but events must be plain UTF-8. Check the decoded text below."
    )
    return Draft(_without_other_id(letter, storable(found.text)), note)


def original_bytes(letter: DeadLetter) -> bytes | None:
    """The original body, or None if it cannot be restored from the stored text."""
    kept = letter.body.encode()
    written = _WRITTEN_BYTE.sub(lambda found: bytes([int(found[1], 16)]), kept)
    return next((body for body in (kept, written) if body_digest(body) == letter.body_digest), None)


def check_body(letter: DeadLetter, body: str) -> str:
    """Check an edited body, and return it as it would be sent.

    Raises `NotPossible` if the letter is a task's, or if the body is not a JSON object or has the id of another event.
    An unreadable id that the original body contained is removed.
    """
    if letter.task:
        raise NotPossible("the arguments of a task are ids and cannot be edited: replay or discard the dead letter")
    text = body.replace("\r\n", "\n").strip().removeprefix("\ufeff")
    try:
        fields = from_json(text, parse_constant=_refuse_constant)
        text.encode()
    except (ValueError, RecursionError) as problem:
        raise NotPossible(f"the body is not JSON: {problem}") from None
    if not isinstance(fields, dict):
        raise NotPossible("the body is JSON, but not an object")
    own = fields.get("id")
    if own is not None and _uuid(own) != letter.event_id:
        if own != _id_in(letter.body):
            raise NotPossible(f'the "id" of this event is {letter.event_id}: keep this id, or leave it out')
        del fields["id"]
        text = _compact(fields)
    if len(text.encode()) > MAX_BODY_BYTES:
        text = _compact(fields)
    if (size := len(text.encode())) > MAX_BODY_BYTES:
        raise NotPossible(f"the body has {size} bytes; the maximum is {MAX_BODY_BYTES}: shorten it")
    return text


def difference(before: str, after: str) -> list[str]:
    """A unified diff of two bodies, indented so that each field has its own line; empty if they are equal."""
    old, new = indented(before).splitlines(), indented(after).splitlines()
    if old == new:
        return []
    if len(old) + len(new) > _MOST_COMPARED_LINES:
        return _difference_of_many(old, new)
    return list(difflib.unified_diff(old, new, "original", "edited", lineterm="", n=3))


def indented(text: str) -> str:
    """JSON text with indentation; other text unchanged."""
    try:
        # JSON may contain a lone surrogate, which is not valid text. It remains an escape.
        return storable(json.dumps(from_json(text), indent=2, ensure_ascii=False))
    except (ValueError, RecursionError):
        return text


def _without_other_id(letter: DeadLetter, text: str) -> str:
    """Remove another id from the body. The id could not be read from the original body, so the event got a new one."""
    try:
        fields = from_json(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(fields, dict) and "id" in fields and _uuid(fields["id"]) != letter.event_id:
        del fields["id"]
    return indented(json.dumps(fields))


def _difference_of_many(old: list[str], new: list[str]) -> list[str]:
    """The lines between the first and the last difference, up to the maximum."""
    shortest = min(len(old), len(new))
    first = next((at for at in range(shortest) if old[at] != new[at]), shortest)
    same = next((at for at in range(shortest - first) if old[-1 - at] != new[-1 - at]), shortest - first)
    gone, come = old[first : len(old) - same], new[first : len(new) - same]
    shown = [f"-{line}" for line in gone] + [f"+{line}" for line in come]
    head = ["--- original", "+++ edited", f"@@ -{first + 1},{len(gone)} +{first + 1},{len(come)} @@"]
    rest = len(shown) - _MOST_COMPARED_LINES
    return [*head, *shown[:_MOST_COMPARED_LINES], *([f"@@ and {rest} more lines @@"] if rest > 0 else [])]


def _compact(fields: dict[str, Any]) -> str:
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    # A lone surrogate remains an escape.
    return text if text == storable(text) else json.dumps(fields, separators=(",", ":"))


def _id_in(body: str) -> object:
    try:
        fields = from_json(body)
    except (ValueError, RecursionError):
        return None
    return fields.get("id") if isinstance(fields, dict) else None


def _uuid(value: object) -> uuid.UUID | None:
    try:
        return uuid.UUID(str(value))
    except ValueError:
        return None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
