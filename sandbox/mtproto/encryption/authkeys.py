"""Authorization keys, by which the server recognises a client's saved session."""

import os
import struct
from dataclasses import dataclass
from hashlib import sha1


@dataclass
class AuthKey:
    """A 2048-bit key, its server salt, and the user who is logged in with it."""

    key: bytes
    salt: int
    user_id: int | None = None
    # The user who has given the first factor with this key, but not yet the password.
    awaits_password: int | None = None
    # The error with which every request is answered once the key is destroyed.
    destroyed: str | None = None

    @property
    def id(self) -> int:
        """The signed 64-bit id that precedes every packet encrypted with this key."""
        (value,) = struct.unpack("<q", sha1(self.key).digest()[-8:])
        return int(value)

    @property
    def short_id(self) -> str:
        return f"{self.id & 0xFFFFFFFF:08x}"


class AuthKeys:
    def __init__(self) -> None:
        self._keys: dict[int, AuthKey] = {}
        self.revision = 0

    def create(self, key: bytes) -> AuthKey:
        (salt,) = struct.unpack("<q", os.urandom(8))
        record = AuthKey(key, salt or 1)
        self._keys[record.id] = record
        self.revision += 1
        return record

    def get(self, key_id: int) -> AuthKey | None:
        return self._keys.get(key_id)

    def bind(self, key: AuthKey, user_id: int | None) -> None:
        """Log the user in with this key; None logs out."""
        key.user_id = user_id
        key.awaits_password = None
        self.revision += 1

    def destroy(self, key: AuthKey, error: str) -> None:
        key.destroyed = error
        self.revision += 1

    def forget(self, key: AuthKey) -> None:
        self._keys.pop(key.id, None)
        self.revision += 1

    def log_everyone_out(self) -> None:
        for key in self._keys.values():
            key.user_id = key.awaits_password = None
        self.revision += 1

    def dump(self) -> list[AuthKey]:
        return list(self._keys.values())

    def load(self, keys: list[AuthKey]) -> None:
        self._keys = {key.id: key for key in keys}
