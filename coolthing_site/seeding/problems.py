"""A problem in a seed file: the path inside the file, the reason, and the line if it is known."""

from collections.abc import Sequence
from dataclasses import dataclass

# Keys and indices from the top of the file: ("campaigns", 0, "slug").
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    path: Path
    reason: str
    line: int | None = None

    def __str__(self) -> str:
        where = f"{dotted(self.path)}: " if self.path else ""
        return f"{where}{self.reason}{f' (line {self.line})' if self.line else ''}"


class SeedError(Exception):
    """The file is refused. The text has a line for each problem, which begins with the file's name."""

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(f"{file}: {problem}" for problem in problems))
        self.problems = list(problems)


def dotted(path: Path) -> str:
    """The path as text: campaigns[0].scripts[0].lines[3].reply_to"""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
