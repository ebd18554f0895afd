"""The server's RSA key, by which a client verifies that the server is this sandbox."""

import os
from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path
from typing import Any

import rsa
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa as rsa_keys
from telethon.crypto.rsa import get_byte_array
from telethon.tl import TLObject

PRIVATE_KEY_FILE = "telegram_server_private.pem"
PUBLIC_KEY_FILE = "telegram_server_key.pem"


@dataclass(frozen=True)
class ServerKey:
    """`public_pem` is PKCS#1, as `telethon.crypto.rsa.add_key` reads it."""

    private: Any
    public_path: Path

    @property
    def fingerprint(self) -> int:
        """The low 64 bits of the key's SHA-1, by which a client picks the key."""
        parts = [TLObject.serialize_bytes(get_byte_array(n)) for n in (self.private.n, self.private.e)]
        return int.from_bytes(sha1(b"".join(parts)).digest()[-8:], "little", signed=True)

    def decrypt(self, data: bytes) -> bytes:
        """Raw RSA: the 256 bytes that the client encrypted."""
        key, value = self.private, int.from_bytes(data, "big")
        # By the Chinese remainder theorem, which takes a quarter of the time.
        by_p, by_q = pow(value, key.exp1, key.p), pow(value, key.exp2, key.q)
        plain = by_q + key.q * ((by_p - by_q) * key.coef % key.p)
        return int(plain).to_bytes(256, "big")


def load_or_create(directory: Path) -> ServerKey:
    """The key that `directory` contains. Creates a key if there is none; the private file has the mode 0600."""
    directory.mkdir(parents=True, exist_ok=True)
    private_path, public_path = directory / PRIVATE_KEY_FILE, directory / PUBLIC_KEY_FILE
    if not private_path.exists():
        _create(private_path)
    private = rsa.PrivateKey.load_pkcs1(private_path.read_bytes())
    public_pem = rsa.PublicKey(private.n, private.e).save_pkcs1()
    if not public_path.exists() or public_path.read_bytes() != public_pem:
        public_path.write_bytes(public_pem)
    return ServerKey(private, public_path)


def _create(path: Path) -> None:
    key = rsa_keys.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
