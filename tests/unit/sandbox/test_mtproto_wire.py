"""Bytes on the wire: encryption, containers, the key exchange."""

import gzip
import logging
import os
import struct
import time
from pathlib import Path

import pytest
from telethon.crypto import AuthKey as TelethonKey
from telethon.network.mtprotostate import MTProtoState
from telethon.tl import TLObject, functions, types
from telethon.tl.core import GzipPacked, MessageContainer

from sandbox.mtproto import wire
from sandbox.mtproto.encryption import crypto
from sandbox.mtproto.encryption.handshake import DH_PRIME, Handshake, HandshakeFailed, P, Q
from sandbox.mtproto.encryption.server_key import PRIVATE_KEY_FILE, load_or_create
from sandbox.mtproto.rpc import method_name
from sandbox.mtproto.rpc_errors import code_of

KEY = bytes(range(256))


class Loggers(dict):
    def __missing__(self, key):
        return logging.getLogger(key)


def _packet(data: bytes = b"\x01\x02\x03\x04") -> tuple[bytes, bytes]:
    """A message key and encrypted data, made by Telethon."""
    state = MTProtoState(TelethonKey(KEY), Loggers())
    state.salt = 77
    packet = state.encrypt_message_data(struct.pack("<qii", 4, 1, len(data)) + data)
    return packet[8:24], packet[24:]


def test_what_telethon_encrypts_is_read() -> None:
    plain = crypto.decrypt(KEY, *_packet(b"abcdefgh"))
    assert (plain.salt, plain.message_id, plain.seq_no, plain.body) == (77, 4, 1, b"abcdefgh")


def test_a_changed_packet_is_not_genuine() -> None:
    message_key, data = _packet()
    changed = bytearray(data)
    changed[20] ^= 1
    with pytest.raises(crypto.BadPacket):
        crypto.decrypt(KEY, message_key, bytes(changed))
    with pytest.raises(crypto.BadPacket):
        crypto.decrypt(KEY, bytes(16), data)
    with pytest.raises(crypto.BadPacket):
        crypto.decrypt(bytes(256), message_key, data)
    with pytest.raises(crypto.BadPacket):
        crypto.decrypt(KEY, message_key, data[:-1])


def test_what_the_server_encrypts_is_read_by_telethon() -> None:
    state = MTProtoState(TelethonKey(KEY), Loggers())
    state.time_offset = -int(time.time())  # message id 5 is of 1970
    body = bytes(types.Pong(1, 2))
    message_key, data = crypto.encrypt(KEY, crypto.Plaintext(0, state.id, 5, 0, body))
    key_id = struct.pack("<Q", state.auth_key.key_id)
    assert state.decrypt_message_data(key_id + message_key + data).obj.ping_id == 2


def test_containers_and_gzip_are_opened() -> None:
    inner = [bytes(functions.PingRequest(n)) for n in (1, 2)]
    packed = bytes(GzipPacked(inner[1]))
    messages = b"".join(
        struct.pack("<qii", number, 1, len(body)) + body for number, body in ((4, inner[0]), (8, packed))
    )
    container = struct.pack("<Ii", MessageContainer.CONSTRUCTOR_ID, 2) + messages
    assert list(wire.parts(12, 0, container)) == [(4, 1, inner[0]), (8, 1, inner[1])]
    with pytest.raises(ValueError, match="cut short"):
        list(wire.parts(12, 0, container[:-4]))


def test_large_answers_are_packed_and_small_ones_are_not() -> None:
    assert wire.rpc_result(4, b"tiny") == struct.pack("<Iq", wire.RPC_RESULT, 4) + b"tiny"
    answer = wire.rpc_result(4, b"a" * 10_000)
    assert len(answer) < 1000
    assert wire.unpacked(answer[12:]) == b"a" * 10_000
    noise = os.urandom(10_000)
    assert wire.rpc_result(4, noise)[12:] == noise


def test_a_gzip_bomb_is_refused() -> None:
    data = gzip.compress(bytes(wire.MAX_UNPACKED + 1))
    bomb = struct.pack("<I", wire.GZIP_PACKED) + TLObject.serialize_bytes(data)
    with pytest.raises(ValueError, match="too large"):
        wire.unpacked(bomb)


def test_methods_are_named_as_in_the_schema() -> None:
    assert method_name(functions.messages.SendMessageRequest("x", "y")) == "messages.sendMessage"
    assert method_name(functions.help.GetConfigRequest()) == "help.getConfig"
    assert method_name(functions.PingRequest(1)) == "ping"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("FLOOD_WAIT_30", 420),
        ("SLOWMODE_WAIT_5", 420),
        ("AUTH_KEY_DUPLICATED", 406),
        ("AUTH_KEY_UNREGISTERED", 401),
        ("USER_DEACTIVATED_BAN", 401),
        ("CHAT_WRITE_FORBIDDEN", 403),
        ("CHANNEL_PRIVATE", 400),
        ("NEVER_HEARD_OF", 400),
    ],
)
def test_errors_carry_telegrams_codes(name: str, code: int) -> None:
    assert code_of(name) == code


def test_the_private_key_is_kept_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    first = load_or_create(tmp_path / "keys")
    second = load_or_create(tmp_path / "keys")
    assert first.fingerprint == second.fingerprint
    assert (tmp_path / "keys" / PRIVATE_KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert "BEGIN RSA PUBLIC KEY" in first.public_path.read_text()


def test_the_key_exchange_refuses_what_comes_out_of_turn(tmp_path: Path) -> None:
    handshake = Handshake(load_or_create(tmp_path))
    with pytest.raises(HandshakeFailed):
        handshake.answer(bytes(functions.ReqDHParamsRequest(1, 2, b"a", b"b", 3, bytes(256))))
    with pytest.raises(HandshakeFailed):
        handshake.answer(b"nonsense")
    handshake.answer(bytes(functions.ReqPqMultiRequest(5)))
    with pytest.raises(HandshakeFailed, match="nonce"):
        handshake.answer(bytes(functions.SetClientDHParamsRequest(5, 6, bytes(64))))


def test_the_numbers_of_the_key_exchange_are_sound() -> None:
    assert P < Q
    assert (P * Q).bit_length() <= 63
    assert DH_PRIME.bit_length() == 2048
    assert pow(2, DH_PRIME - 1, DH_PRIME) == pow(2, (DH_PRIME - 1) // 2 - 1, (DH_PRIME - 1) // 2) == 1
