"""Appends one JSON object per line to a file in the installation's folder for such files."""

import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from notifier.channels.transports.errors import TransportError

# Non-blocking, because a pipe without a reader would block the worker forever. No symbolic links, because they could
# lead out of the folder.
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW


def append_line(name: str, content: Mapping[str, object]) -> None:
    """Append a line with a single write, so that lines of several processes do not mix.

    `name` is a plain file name. Raises TransportError.
    """
    line = (json.dumps(dict(content), ensure_ascii=False) + "\n").encode()
    try:
        with _folder() as folder, _opened(name, folder) as handle:
            written = os.write(handle, line)
    except (OSError, ValueError) as error:
        # The error's own text contains the file's name.
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "not a usable name"
        raise TransportError(f"file: {reason}") from None
    if written != len(line):
        raise TransportError("file: the line was cut; the disk may be full")


@contextmanager
def _folder() -> Iterator[int]:
    path = Path(settings.NOTIFICATION_FILES_DIR)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield folder
    finally:
        os.close(folder)


@contextmanager
def _opened(name: str, folder: int) -> Iterator[int]:
    handle = os.open(name, _FLAGS, 0o600, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise TransportError("file: not a regular file")
        yield handle
    finally:
        os.close(handle)
