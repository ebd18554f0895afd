"""What a person sees, and how a command gives up."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

_STARTED = time.monotonic()


class Unavailable(Exception):
    """Something outside our reach is missing; the text tells what to do. Exit code 2."""


class Failed(Exception):
    """A service did not do what it was told; the text tells where to look. Exit code 1."""


def say(text: str) -> None:
    """One progress line on stderr: stdout belongs to `env`, which is evaluated by a shell."""
    print(f"[{time.monotonic() - _STARTED:5.1f}s] {text}", file=sys.stderr, flush=True)


def guarded(command: Callable[[], int]) -> int:
    """Run a command; what went wrong becomes its message on stderr and the exit code."""
    # Folders are made for another user to pass through; what is private is made private by name.
    os.umask(0o022)
    try:
        return command()
    except Unavailable as problem:
        print(problem, file=sys.stderr)
        return 2
    except Failed as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
