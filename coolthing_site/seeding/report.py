"""Reports what seeding changed, or would change."""

from collections import Counter
from dataclasses import dataclass, field

ACTIONS = ("created", "updated", "removed", "kept", "unchanged")


@dataclass
class Report:
    """`entries`: (action, kind, name, detail). "kept": the row differs from the file, but seeding may not change it."""

    entries: list[tuple[str, str, str, str]] = field(default_factory=list)

    def add(self, action: str, kind: str, name: str, detail: str = "") -> None:
        self.entries.append((action, kind, name, detail))

    @property
    def counts(self) -> Counter[str]:
        return Counter(action for action, *_ in self.entries)

    @property
    def changes_nothing(self) -> bool:
        return not any(self.counts[action] for action in ("created", "updated", "removed"))

    def lines(self) -> list[str]:
        """The report as text: all entries except the unchanged rows, then the counts."""
        lines = [
            f"{action:9} {kind} {name}{f' ({detail})' if detail else ''}"
            for action, kind, name, detail in self.entries
            if action != "unchanged"
        ]
        counts = self.counts
        lines.append(", ".join(f"{counts[action]} {action}" for action in ACTIONS))
        return lines
