"""MTProto 2.0 encryption, the server's side (https://core.telegram.org/mtproto/description)."""

import hmac
import os
import struct
from dataclasses import dataclass
from hashlib import sha256

from telethon.crypto import AES

HEADER = struct.Struct("<qqqii")  # salt, session id, message id, sequence number, length
MIN_PADDING, MAX_PADDING = 12, 1024


class BadPacket(Exception):
    """The packet was not encrypted with this key, or is malformed."""


@dataclass(frozen=True, slots=True)
class Plaintext:
    salt: int
    session_id: int
    message_id: int
    seq_no: int
    body: bytes


def decrypt(key: bytes, message_key: bytes, data: bytes) -> Plaintext:
    """Raises BadPacket unless the message key and the lengths are right."""
    if not data or len(data) % 16:
        raise BadPacket("not a multiple of the AES block")
    plain = AES.decrypt_ige(data, *_aes_key(key, message_key, 0))
    if not hmac.compare_digest(sha256(key[88:120] + plain).digest()[8:24], message_key):
        raise BadPacket("the message key does not match")
    salt, session_id, message_id, seq_no, length = HEADER.unpack_from(plain)
    padding = len(plain) - HEADER.size - length
    if length < 4 or length % 4 or not MIN_PADDING <= padding <= MAX_PADDING:
        raise BadPacket(f"length {length}, padding {padding}")
    return Plaintext(salt, session_id, message_id, seq_no, plain[HEADER.size : HEADER.size + length])


def encrypt(key: bytes, message: Plaintext) -> tuple[bytes, bytes]:
    """The message key and the encrypted data, as the client expects them from a server."""
    header = HEADER.pack(message.salt, message.session_id, message.message_id, message.seq_no, len(message.body))
    data = header + message.body
    data += os.urandom(-(len(data) + MIN_PADDING) % 16 + MIN_PADDING)
    message_key = sha256(key[96:128] + data).digest()[8:24]
    return message_key, AES.encrypt_ige(data, *_aes_key(key, message_key, 8))


def _aes_key(key: bytes, message_key: bytes, offset: int) -> tuple[bytes, bytes]:
    """`offset` is 0 for messages from the client, 8 for messages to it."""
    a = sha256(message_key + key[offset : offset + 36]).digest()
    b = sha256(key[offset + 40 : offset + 76] + message_key).digest()
    return a[:8] + b[8:24] + a[24:32], b[:8] + a[8:24] + b[24:32]
