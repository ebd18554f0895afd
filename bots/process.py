"""This process's runtime, if it is a bots worker; apart from it, so that others need not import Telethon."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bots.logins.worker import LoginWorker
    from bots.worker.runtime import Runtime

_current: "Runtime | None" = None
_logins: "LoginWorker | None" = None


def start(*, role: str, name: str, capacity: int, logins: int) -> None:
    """Make this process a bots worker, which also works on that many logins at once."""
    from bots.logins.worker import LoginWorker
    from bots.worker.runtime import Runtime

    global _current, _logins
    _current = Runtime(role=role, name=name, capacity=capacity)
    _current.start()
    _logins = LoginWorker(name=name, slots=logins, takes=_current.is_open)
    _logins.start()


def drain() -> None:
    """Let go of bots and logins. Returns at once; safe in a signal handler."""
    if _current is not None:
        _current.drain()
    if _logins is not None:
        _logins.stop()


def close() -> None:
    """Drain, and wait until all of them have been let go."""
    drain()
    if _logins is not None:
        _logins.close()
    if _current is not None:
        _current.close()


def current() -> "Runtime | None":
    """This process's runtime; None in a process that is no bots worker."""
    return _current
