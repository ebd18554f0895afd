"""Two-step verification: the server's half of SRP (https://core.telegram.org/api/srp)."""

import hmac
import os
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from telethon import password as client_side
from telethon.tl import types

from sandbox.mtproto.encryption.handshake import DH_PRIME, G
from sandbox.mtproto.rpc_errors import RpcFailure
from sandbox.world.entities import User

# Bytes of a number of the group.
SIZE = 256
REMEMBERED_CHALLENGES = 64


@dataclass(frozen=True)
class Verifier:
    """The server's record of a password."""

    password: str
    algorithm: Any
    value: int


@dataclass(frozen=True)
class Challenge:
    user_id: int
    verifier: Verifier
    secret: int
    public: bytes


class Passwords:
    def __init__(self) -> None:
        self._verifiers: dict[int, Verifier] = {}
        self._challenges: OrderedDict[int, Challenge] = OrderedDict()

    def challenge(self, user: User) -> Any:
        """The account.Password of an account with a password."""
        verifier = self._verifier(user)
        secret = int.from_bytes(os.urandom(SIZE))
        public = _number((_k() * verifier.value + pow(G, secret, DH_PRIME)) % DH_PRIME)
        srp_id = secrets.randbits(62)
        self._challenges[srp_id] = Challenge(user.id, verifier, secret, public)
        while len(self._challenges) > REMEMBERED_CHALLENGES:
            self._challenges.popitem(last=False)
        return types.account.Password(
            **fresh_algorithms(),
            has_password=True,
            current_algo=verifier.algorithm,
            srp_B=public,
            srp_id=srp_id,
            hint="",
        )

    def check(self, user: User, answer: Any) -> None:
        """Raises RpcFailure unless the answer proves that the client knows the password."""
        if not isinstance(answer, types.InputCheckPasswordSRP):
            raise RpcFailure("PASSWORD_HASH_INVALID")
        challenge = self._challenges.pop(answer.srp_id, None)
        if challenge is None or challenge.user_id != user.id or challenge.verifier != self._verifier(user):
            raise RpcFailure("SRP_ID_INVALID")
        if not hmac.compare_digest(_proof(challenge, answer.A), bytes(answer.M1)):
            raise RpcFailure("PASSWORD_HASH_INVALID")

    def _verifier(self, user: User) -> Verifier:
        assert user.password
        known = self._verifiers.get(user.id)
        if known is None or known.password != user.password:
            algorithm = types.PasswordKdfAlgoSHA256SHA256PBKDF2HMACSHA512iter100000SHA256ModPow(
                salt1=os.urandom(40), salt2=os.urandom(16), g=G, p=_number(DH_PRIME)
            )
            value = int.from_bytes(client_side.compute_digest(algorithm, user.password))
            known = self._verifiers[user.id] = Verifier(user.password, algorithm, value)
        return known


def fresh_algorithms() -> dict[str, Any]:
    """The algorithms for a new password in account.Password. The sandbox cannot set passwords."""
    return {
        "new_algo": types.PasswordKdfAlgoUnknown(),
        "new_secure_algo": types.SecurePasswordKdfAlgoUnknown(),
        "secure_random": os.urandom(SIZE),
    }


def _proof(challenge: Challenge, public_of_client: bytes) -> bytes:
    """M1, as a client with the right password computes it."""
    algorithm = challenge.verifier.algorithm
    a = int.from_bytes(public_of_client)
    if not 0 < a < DH_PRIME:
        raise RpcFailure("PASSWORD_HASH_INVALID")
    u = int.from_bytes(_hash(_number(a), challenge.public))
    shared = pow(a * pow(challenge.verifier.value, u, DH_PRIME), challenge.secret, DH_PRIME)
    group = bytes(x ^ y for x, y in zip(_hash(_number(DH_PRIME)), _hash(_number(G)), strict=True))
    return _hash(
        group,
        _hash(algorithm.salt1),
        _hash(algorithm.salt2),
        _number(a),
        challenge.public,
        _hash(_number(shared)),
    )


def _k() -> int:
    return int.from_bytes(_hash(_number(DH_PRIME), _number(G)))


def _number(value: int) -> bytes:
    return value.to_bytes(SIZE)


def _hash(*parts: bytes) -> bytes:
    return sha256(b"".join(parts)).digest()
