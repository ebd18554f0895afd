"""The patterns of rules: what one may be, and those of a channel that has no rules of its own."""

import re

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
