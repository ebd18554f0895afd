"""Rules: what a pattern may be, and the rules of a channel that was given none."""

import re
from uuid import UUID

from notifier.models import Rule

# What went wrong, what waits for an operator, and what has ended.
DEFAULT_PATTERNS = (
    "*.error",
    "*.crash",
    "*.banned",
    "*.handover",
    "*.approval",
    "*.dead_letter",
    "*.play_failed",
    "scripts.finished",
)

# The keys of this program's events on events_exchange. SERVICE is one of `SERVICES` in
# `messaging.observability.metrics`.
KNOWN_KEYS = (
    "SERVICE.started",
    "SERVICE.error",
    "SERVICE.crash",
    "SERVICE.dead_letter",
    "bots.banned",
    "manager.approval",
    "manager.handover",
    "scripts.started",
    "scripts.finished",
    "scripts.play_failed",
)
# A word of a foreign program's key may have any characters but these; with "*" in it, it would not mean "any word".
_WORD = r"(?:[^\s.*#]+|\*|#)"


def pattern_problem(pattern: str) -> str:
    """Why no event can fit the pattern of a rule; empty when one can."""
    if re.fullmatch(rf"{_WORD}(\.{_WORD})*", pattern):
        return ""
    return 'is no topic pattern: words, * or # with dots and no spaces between them, such as "*.crash"'


def channel_default_rules(*, channel_id: UUID) -> bool:
    """A new channel without a rule would never be notified: it gets the default ones. False when it has rules."""
    if Rule.objects.filter(channel_id=channel_id).exists():
        return False
    rules = [Rule(channel_id=channel_id, pattern=pattern) for pattern in DEFAULT_PATTERNS]
    Rule.objects.bulk_create(rules, ignore_conflicts=True)
    return True
