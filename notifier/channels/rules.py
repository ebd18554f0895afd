"""Rules: checks their patterns, and creates the default rules of a new channel."""

import re
from uuid import UUID

from notifier.models import Rule

# Errors, events that wait for an operator, and events about an end.
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

# The routing keys of this program's events on events_exchange. SERVICE is one of `SERVICES` in
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
# A word of another program's key may contain any characters except these. A word that contains "*" would not mean "any
# word".
_WORD = r"(?:[^\s.*#]+|\*|#)"


def pattern_problem(pattern: str) -> str:
    """Why no event can match the pattern; "" if an event can."""
    if re.fullmatch(rf"{_WORD}(\.{_WORD})*", pattern):
        return ""
    return 'is not a topic pattern: enter words, * or #, separated by dots and without spaces, such as "*.crash"'


def channel_default_rules(*, channel_id: UUID) -> bool:
    """Give the channel the default rules if it has none, because without rules it would never get a notification.

    Returns whether the channel had no rules.
    """
    if Rule.objects.filter(channel_id=channel_id).exists():
        return False
    rules = [Rule(channel_id=channel_id, pattern=pattern) for pattern in DEFAULT_PATTERNS]
    Rule.objects.bulk_create(rules, ignore_conflicts=True)
    return True
