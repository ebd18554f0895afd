"""A file with one JSON object a line."""

import json
import os
from collections.abc import Mapping

from notifier.transports.errors import TransportError


def append_line(path: str, content: Mapping[str, object]) -> None:
    """One write to a file opened for appending: lines of several processes do not mix."""
    line = (json.dumps(dict(content), ensure_ascii=False) + "\n").encode()
    try:
        # Not blocking: a pipe that nobody reads would keep the worker for ever.
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
        try:
            written = os.write(handle, line)
        finally:
            os.close(handle)
    except (OSError, ValueError) as error:
        # The error's own text names the file.
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "not a usable path"
        raise TransportError(f"file: {reason}") from None
    if written != len(line):
        raise TransportError("file: the line was cut, the disk may be full")
