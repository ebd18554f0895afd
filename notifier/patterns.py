"""Which events a channel hears of unless its seed file says otherwise: what went wrong, what waits for an operator, and
what has ended."""

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
