"""Reports what seeding changed, or would change."""

from collections import Counter
from dataclasses import dataclass, field

ACTIONS = ("created", "updated", "removed", "kept", "unchanged")


@dataclass
class Report:
    """`entries`: (action, kind, name, detail). Kept: differs from the file, but is not for a seed to change."""

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
        """For people: everything that is not unchanged, by kind and name; then the counts."""
        told = [
            f"{action:9} {kind} {name}{f' ({detail})' if detail else ''}"
            for action, kind, name, detail in self.entries
            if action != "unchanged"
        ]
        counts = self.counts
        told.append(", ".join(f"{counts[action]} {action}" for action in ACTIONS))
        return told
