"""Stores a Telethon session as one text: auth key, data centre, update state, and known entities."""

import base64
import json
from collections import OrderedDict
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from telethon.crypto import AuthKey
from telethon.sessions import MemorySession
from telethon.tl import types

from telegram.authors import described
from telegram.types import Author
from telegram.usernames import username_in

# The most users in a session; those seen longest ago are removed first. Chats are never removed.
MAX_USERS = 3000
FORMAT = 1

Entity = tuple[int, str]


class UnreadableSession(Exception):
    """The text is not a session that `StoredSession.dumps` has written."""


def session_of_key(dc: tuple[int, str, int], key: bytes) -> str:
    """The text of a session with only a key and a data centre."""
    session = StoredSession()
    session.set_dc(*dc)
    session.auth_key = AuthKey(key)
    return session.dumps()


def key_of(text: str) -> str:
    """A digest of the session's key, for comparisons; empty if there is no key. Raises UnreadableSession."""
    auth_key = StoredSession(text).auth_key
    return sha256(auth_key.key).hexdigest() if auth_key else ""


class StoredSession(MemorySession):
    """A session that stores access hashes and usernames, but no phone numbers or people's names."""

    def __init__(self, text: str = "") -> None:
        super().__init__()
        self.dirty = False
        self._known: OrderedDict[int, Entity] = OrderedDict()
        # The authors by the descriptions of this connection. They are not stored, because they may change.
        self._authors: dict[int, Author] = {}
        if text:
            try:
                self._load(json.loads(text))
            except (ValueError, KeyError, TypeError, IndexError) as error:
                raise UnreadableSession("the stored session is damaged") from error

    def dumps(self) -> str:
        """The whole session as text. It contains the account's key: store it encrypted."""
        return json.dumps(
            {
                "format": FORMAT,
                "dc": [self.dc_id, self.server_address, self.port],
                "key": base64.b64encode(self.auth_key.key).decode() if self.auth_key else "",
                "states": {
                    str(peer): [state.pts, state.qts, int(state.date.timestamp()) if state.date else 0, state.seq]
                    for peer, state in self.get_update_states()
                },
                "entities": [[peer, *entity] for peer, entity in self._known.items()],
            },
            separators=(",", ":"),
        )

    def _load(self, data: dict[str, Any]) -> None:
        self.set_dc(*data["dc"])
        self.auth_key = AuthKey(base64.b64decode(data["key"])) if data["key"] else None
        for peer, (pts, qts, date, seq) in data["states"].items():
            self._update_states[int(peer)] = types.updates.State(pts, qts, datetime.fromtimestamp(date, UTC), seq, 0)
        for peer, access_hash, username in data["entities"]:
            self._keep(peer, access_hash, username)
        self.dirty = False

    # Called by Telethon.

    def process_entities(self, tlo: Any) -> None:
        for peer, access_hash, username, _phone, _name in self._entities_to_rows(tlo):
            self._keep(peer, access_hash, username or "")
        # For updates Telethon swaps users and chats.
        for entity in [*(getattr(tlo, "users", None) or ()), *(getattr(tlo, "chats", None) or ())]:
            if isinstance(entity, types.User) and entity.id in self._known:
                self._authors[entity.id] = described(entity)

    def _entity_to_row(self, e: Any) -> Any:
        """Add collectible usernames: Telethon reads only `username`."""
        row = super()._entity_to_row(e)
        return row and (*row[:2], username_in(e).lower(), *row[3:])

    def get_entity_rows_by_id(self, id: int, exact: bool = True) -> tuple[int, int] | None:
        marked = (id,) if exact else (id, -id, -(1_000_000_000_000 + id))
        found = next((peer for peer in marked if peer in self._known), None)
        return None if found is None else (found, self._known[found][0])

    def get_entity_rows_by_username(self, username: str) -> None:
        """Return nothing, so that Telethon asks Telegram: the username may have passed to another user."""

    def get_entity_rows_by_phone(self, phone: str) -> None:
        return None

    def get_entity_rows_by_name(self, name: str) -> None:
        return None

    def set_update_state(self, entity_id: int, state: Any) -> None:
        super().set_update_state(entity_id, state)
        self.dirty = True

    def save(self) -> None:
        self.dirty = True

    def delete(self) -> None:
        self.auth_key = None
        self.dirty = True

    # Called by the adapter.

    def username_of(self, user_id: int) -> str:
        """The last known username, in lower case; empty if there is none."""
        return self._known[user_id][1] if user_id in self._known else ""

    def author_of(self, user_id: int) -> Author | None:
        return self._authors.get(user_id)

    def rename(self, user_id: int, username: str) -> None:
        """Store the new username of a known user; empty if the user has none any more."""
        if user_id in self._known:
            self._keep(user_id, self._known[user_id][0], username.lower())

    def _keep(self, peer: int, access_hash: int, username: str) -> None:
        if self._known.get(peer) != (access_hash, username):
            self._known[peer] = (access_hash, username)
            self.dirty = True
        self._known.move_to_end(peer)
        if len(self._known) > 2 * MAX_USERS:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        users = [peer for peer in self._known if peer > 0]
        for peer in users[:-MAX_USERS]:
            del self._known[peer]
            self._authors.pop(peer, None)
