"""Which events a channel is notified of unless it has rules of its own: what went wrong, what waits for an operator,
and what has ended."""

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
