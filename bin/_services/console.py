"""What a person sees, and how a command gives up."""

from __future__ import annotations

import sys
import time

_STARTED = time.monotonic()


class Unavailable(Exception):
    """Something outside our reach is missing; the text tells what to do. Exit code 2."""


class Failed(Exception):
    """A service did not do what it was told; the text tells where to look. Exit code 1."""


def say(text: str) -> None:
    """One progress line on stderr: stdout belongs to `env`, which is evaluated by a shell."""
    print(f"[{time.monotonic() - _STARTED:5.1f}s] {text}", file=sys.stderr, flush=True)
