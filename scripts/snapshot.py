"""The lines of a script at its activation. Later changes of the script do not affect what is played."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pydantic import BaseModel, TypeAdapter

from scripts.models import Line, Script


class SnapshotLine(BaseModel, frozen=True):
    id: UUID
    key: str
    position: int
    slot: str
    text: str
    reply_to: UUID | None
    delay_seconds: float


_LINES = TypeAdapter(list[SnapshotLine])


def lines_of(script: Script) -> list[SnapshotLine]:
    """The script's lines now, in the order in which they are sent."""
    return [_line(line) for line in script.lines.select_related("slot").order_by("position")]


def _line(line: Line) -> SnapshotLine:
    return SnapshotLine(
        id=line.id,
        key=line.key,
        position=line.position,
        slot=line.slot.name,
        text=line.text,
        reply_to=line.reply_to_id,
        delay_seconds=line.delay_seconds,
    )


def dump(lines: Sequence[SnapshotLine]) -> dict[str, Any]:
    return {"lines": [line.model_dump(mode="json") for line in lines]}


def load(snapshot: dict[str, Any] | None) -> list[SnapshotLine]:
    return _LINES.validate_python((snapshot or {}).get("lines", []))
