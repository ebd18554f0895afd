"""The key exchange (https://core.telegram.org/mtproto/auth_key), with the RSA padding Telethon uses."""

import os
import time
from hashlib import sha1
from typing import Any

from telethon.crypto import AES
from telethon.crypto import AuthKey as TelethonAuthKey
from telethon.crypto.rsa import get_byte_array
from telethon.extensions import BinaryReader
from telethon.helpers import generate_key_data_from_nonce
from telethon.tl import functions, types

from sandbox.mtproto.encryption.server_key import ServerKey

# Small primes, as Telegram uses them: clients have to factor p·q.
P, Q = 1229739323, 1402015859
PQ = P * Q

# Telegram's own 2048-bit safe prime, which clients know to be good for g = 3.
DH_PRIME = int(
    "C71CAEB9C6B1C9048E6C522F70F13F73980D40238E3E21C14934D037563D930F"
    "48198A0AA7C14058229493D22530F4DBFA336F6E0AC925139543AED44CCE7C37"
    "20FD51F69458705AC68CD4FE6B6B13ABDC9746512969328454F18FAF8C595F64"
    "2477FE96BB2A941D5BCD1D4AC8CC49880708FA9B378E3C4F3A9060BEE67CF9A4"
    "A4A695811051907E162753B56B0F6B410DBA74D8A84B2A14B3144E0EF1284754"
    "FD17ED950D5965B4B9DD46582DB1178D169C6BC465B0D6FF9CA3928FEF5B9AE4"
    "E418FC15E83EBEA0F87FA9FF5EED70050DED2849F47BF959D956850CE929851F"
    "0D8115F635B105EE2E4E15D04B2454BF6F4FADF034B10403119CD8E3B92FCC5B",
    16,
)
G = 3
# 256 bits are enough for this prime, and make a login eight times faster than 2048 bits.
SECRET_BYTES = 32


class HandshakeFailed(Exception):
    """The client sent a message that the exchange does not allow at this point."""


class Handshake:
    """A client's key exchange. Call `answer` with each plain request; at the end `auth_key` is set."""

    def __init__(self, server_key: ServerKey) -> None:
        self._server_key = server_key
        self._nonce = self._server_nonce = self._new_nonce = 0
        self._secret = 0
        self.auth_key: bytes | None = None

    def answer(self, data: bytes) -> bytes:
        """The answer to the client's next request. Raises HandshakeFailed."""
        try:
            request = BinaryReader(data).tgread_object()
            if isinstance(request, functions.ReqPqMultiRequest | functions.ReqPqRequest):
                return self._res_pq(request)
            if isinstance(request, functions.ReqDHParamsRequest):
                return self._dh_params(request)
            if isinstance(request, functions.SetClientDHParamsRequest):
                return self._dh_gen(request)
        except HandshakeFailed:
            raise
        except Exception as error:
            raise HandshakeFailed(f"unreadable: {error!r}") from error
        raise HandshakeFailed(f"unexpected {type(request).__name__}")

    def _res_pq(self, request: Any) -> bytes:
        self._nonce = request.nonce
        self._server_nonce = int.from_bytes(os.urandom(16), "little", signed=True)
        return bytes(
            types.ResPQ(
                nonce=self._nonce,
                server_nonce=self._server_nonce,
                pq=get_byte_array(PQ),
                server_public_key_fingerprints=[self._server_key.fingerprint],
            )
        )

    def _dh_params(self, request: Any) -> bytes:
        self._check_nonces(request)
        plain = self._server_key.decrypt(request.encrypted_data)[-255:]
        inner = BinaryReader(plain[20:]).tgread_object()
        if plain[:20] != sha1(bytes(inner)).digest():
            raise HandshakeFailed("the inner data's hash is wrong")
        self._check_nonces(inner)
        self._new_nonce = inner.new_nonce
        self._secret = int.from_bytes(os.urandom(SECRET_BYTES), "big")
        answer = bytes(
            types.ServerDHInnerData(
                nonce=self._nonce,
                server_nonce=self._server_nonce,
                g=G,
                dh_prime=get_byte_array(DH_PRIME),
                g_a=get_byte_array(pow(G, self._secret, DH_PRIME)),
                server_time=int(time.time()),
            )
        )
        hashed = sha1(answer).digest() + answer
        encrypted = AES.encrypt_ige(hashed + os.urandom(-len(hashed) % 16), *self._temporary_key())
        return bytes(types.ServerDHParamsOk(self._nonce, self._server_nonce, encrypted))

    def _dh_gen(self, request: Any) -> bytes:
        self._check_nonces(request)
        plain = AES.decrypt_ige(request.encrypted_data, *self._temporary_key())
        inner = BinaryReader(plain[20:]).tgread_object()
        if plain[:20] != sha1(bytes(inner)).digest():
            raise HandshakeFailed("the client's DH data has a wrong hash")
        self._check_nonces(inner)
        shared = pow(int.from_bytes(inner.g_b, "big"), self._secret, DH_PRIME)
        key = TelethonAuthKey(shared.to_bytes(256, "big"))
        self.auth_key = key.key
        proof = key.calc_new_nonce_hash(self._new_nonce, 1)
        return bytes(types.DhGenOk(self._nonce, self._server_nonce, proof))

    def _temporary_key(self) -> tuple[bytes, bytes]:
        key, iv = generate_key_data_from_nonce(self._server_nonce, self._new_nonce)
        return key, iv

    def _check_nonces(self, message: Any) -> None:
        if (message.nonce, message.server_nonce) != (self._nonce, self._server_nonce) or not self._nonce:
            raise HandshakeFailed("wrong nonce")
