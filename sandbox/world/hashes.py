"""Access hashes: an account can address a user or channel only with the hash that the server has sent to the account.

A min user has a different hash, with which the account cannot address the user
(https://core.telegram.org/api/min).
"""

import hashlib
import hmac
import struct
from typing import Literal

Purpose = Literal["user", "min", "channel"]


class AccessHashes:
    def __init__(self, seed: int) -> None:
        self._secret = hashlib.sha256(f"sandbox access hashes {seed}".encode()).digest()
        self._known: dict[tuple[int, int, Purpose], int] = {}

    def of(self, viewer: int, target: int, purpose: Purpose) -> int:
        """The signed 64-bit hash with which `viewer` may address `target`; never zero."""
        key = (viewer, target, purpose)
        if key not in self._known:
            text = f"{viewer} {target} {purpose}".encode()
            (value,) = struct.unpack("<q", hmac.digest(self._secret, text, "sha256")[:8])
            self._known[key] = value or 1
        return self._known[key]
