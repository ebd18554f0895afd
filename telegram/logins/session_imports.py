"""Reads sessions that another program has created with Telethon: the text of a StringSession, or a `.session` file.

Only the key and the number of its data centre are used. The server's address comes from a list of Telegram's own
addresses, so that an imported session cannot make this machine connect to another server.
"""

import base64
import binascii
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from tempfile import NamedTemporaryFile
from urllib.parse import quote

from telegram.connection.session_store import session_of_key
from telegram.logins.types import LoginError

# Telegram's data centres (https://core.telegram.org/api/datacenter), with the addresses from help.getConfig.
DATA_CENTRES = {
    1: "149.154.175.53",
    2: "149.154.167.51",
    3: "149.154.175.100",
    4: "149.154.167.91",
    5: "91.108.56.130",
}
PORT = 443
KEY_BYTES = 256
STRING_VERSION = "1"
# The layouts of a StringSession: number, address (IPv4 or IPv6), port, key.
LAYOUTS = (">B4sH256s", ">B16sH256s")

MAX_FILE_BYTES = 20 * 1024 * 1024
SQLITE_MAGIC = b"SQLite format 3\x00"
# Steps of SQLite's virtual machine between two checks of a query, and the most checks: far more than one row needs.
STEPS, MAX_CHECKS = 1000, 1000

NO_STRING = (
    "This is not a StringSession of Telethon. Copy the whole text that StringSession.save() returns: "
    "about 350 characters, of which the first is 1."
)
NO_FILE = "This is not a session file of Telethon. Choose the SQLite file whose name ends in .session."
NO_LOGIN = "The session file contains no login. Stop the program that uses the file, then copy the file again."


def from_string(text: str) -> str:
    """Convert a StringSession to the text of a StoredSession. Raises LoginError."""
    given = text.strip()
    if given[:1] != STRING_VERSION:
        raise LoginError(NO_STRING)
    try:
        data = base64.b64decode(given[1:], altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise LoginError(NO_STRING) from None
    layout = next((layout for layout in LAYOUTS if struct.calcsize(layout) == len(data)), None)
    if layout is None:
        raise LoginError(NO_STRING)
    number, _address, _port, key = struct.unpack(layout, data)
    return _session(number, key, NO_STRING)


def from_file(data: bytes) -> str:
    """Convert the bytes of a `.session` file to the text of a StoredSession. Raises LoginError."""
    if not data.startswith(SQLITE_MAGIC) or len(data) > MAX_FILE_BYTES:
        raise LoginError(NO_FILE)
    with NamedTemporaryFile(suffix=".session") as file:
        file.write(data)
        file.flush()
        try:
            with _opened(file.name) as database:
                row = _row(database)
        except sqlite3.Error:
            raise LoginError(NO_FILE) from None
    if row is None:
        raise LoginError(NO_LOGIN)
    number, key = row
    if not isinstance(number, int) or not isinstance(key, bytes):
        raise LoginError(NO_FILE)
    return _session(number, key, NO_LOGIN)


@contextmanager
def _opened(path: str) -> Iterator[sqlite3.Connection]:
    """Open the file read-only, for short queries: a hostile file may contain views that run for ever."""
    checks = iter(range(MAX_CHECKS))
    with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro&immutable=1", uri=True)) as database:
        database.set_progress_handler(lambda: int(next(checks, None) is None), STEPS)
        database.execute("PRAGMA trusted_schema = OFF")
        database.execute("PRAGMA query_only = ON")
        yield database


def _row(database: sqlite3.Connection) -> tuple[object, object] | None:
    kind = database.execute("SELECT type FROM sqlite_master WHERE name = 'sessions'").fetchone()
    if kind is None or kind[0] != "table":
        raise LoginError(NO_FILE)
    found: tuple[object, object] | None = database.execute("SELECT dc_id, auth_key FROM sessions LIMIT 1").fetchone()
    return found


def _session(number: int, key: bytes, otherwise: str) -> str:
    if number not in DATA_CENTRES or len(key) != KEY_BYTES or not any(key):
        raise LoginError(otherwise)
    return session_of_key((number, DATA_CENTRES[number], PORT), key)
