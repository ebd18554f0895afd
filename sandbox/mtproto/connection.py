"""A TCP connection: its packets, and the MTProto session inside it."""

import asyncio
import logging
import struct
from collections import deque
from typing import Any

from mtproto.enums import ConnectionRole, TransportEvent
from mtproto.transport import Connection as Framing
from mtproto.transport.packets import EncryptedMessagePacket, ErrorPacket, UnencryptedMessagePacket
from telethon.tl import types

from sandbox.mtproto import wire
from sandbox.mtproto.dispatch import Dispatcher
from sandbox.mtproto.encryption import crypto
from sandbox.mtproto.encryption.authkeys import AuthKey
from sandbox.mtproto.encryption.handshake import Handshake, HandshakeFailed
from sandbox.mtproto.server_state import ServerState

log = logging.getLogger(__name__)

KEY_UNKNOWN = 404  # the transport error for a packet whose key the server does not have
MAX_UNSENT_BYTES = 16 * 1024 * 1024
# The most seconds by which a client's message id may be too old or too new
# (core.telegram.org/mtproto/description#message-identifier-msg-id).
TOO_OLD, TOO_NEW = 300, 30
BAD_SALT, ID_TOO_LOW, ID_TOO_HIGH = 48, 16, 17
# How long the server waits before it treats two connections with the same key as duplicates. A client that reconnects
# has already closed the older connection, but the server may not have received its end of file yet.
RIVAL_PROBES, RIVAL_PROBE_SECONDS = 10, 0.01
REMEMBERED_IDS = 512


class ClientConnection(asyncio.Protocol):
    """A client. Its first encrypted packet sets `key`; `user_id` is the user who is logged in with the key."""

    def __init__(self, server: ServerState, dispatcher: Dispatcher) -> None:
        self.server = server
        self._dispatcher = dispatcher
        self.opened_at = server.world.clock()
        self.key: AuthKey | None = None
        self.wants_updates = False
        self.gone = False
        self._transport: asyncio.Transport | None = None
        self._framing = Framing(role=ConnectionRole.SERVER)
        self._handshake = Handshake(server.server_key)
        self._session_id: int | None = None
        self._content_messages = 0
        self._seen_ids: deque[int] = deque(maxlen=REMEMBERED_IDS)
        self._waiting: list[EncryptedMessagePacket] | None = None
        self._judging: asyncio.Task[None] | None = None
        self._drop_timer: asyncio.TimerHandle | None = None

    @property
    def user_id(self) -> int | None:
        return self.key.user_id if self.key and not self.key.destroyed else None

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.server.connections.add(self)

    def eof_received(self) -> None:
        self.gone = True

    def connection_lost(self, _error: Exception | None) -> None:
        self.gone = True
        self.server.connections.discard(self)
        for handle in (self._drop_timer, self._judging):
            if handle:
                handle.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            self._framing.data_received(data)
            while not self.gone and self._framing.has_packet():
                self._packet_received(self._framing.next_event())
        except Exception:
            log.exception("A packet could not be handled; the connection is dropped")
            self.drop()

    def drop(self) -> None:
        """End the connection at once. Data that has not been sent yet is lost."""
        self.gone = True
        if self._transport:
            self._transport.abort()

    def drop_after(self, seconds: float) -> None:
        """Drop the connection after this time, unless this is called again before."""
        if self._drop_timer:
            self._drop_timer.cancel()
        self._drop_timer = asyncio.get_running_loop().call_later(seconds, self.drop)

    # Packets

    def _packet_received(self, packet: Any) -> None:
        if isinstance(packet, EncryptedMessagePacket):
            self._encrypted_received(packet)
        elif isinstance(packet, UnencryptedMessagePacket):
            self._plain_received(packet)
        elif packet is TransportEvent.DISCONNECT:
            self.drop()

    def _plain_received(self, packet: UnencryptedMessagePacket) -> None:
        try:
            answer = self._handshake.answer(bytes(packet.message_data))
        except HandshakeFailed as error:
            log.warning("The key exchange failed: %s", error)
            self.drop()
            return
        if self._handshake.auth_key:
            self.server.auth_keys.create(self._handshake.auth_key)
            self._handshake = Handshake(self.server.server_key)
        self._write(UnencryptedMessagePacket(self.server.next_message_id(answer=True), answer))

    def _encrypted_received(self, packet: EncryptedMessagePacket) -> None:
        if self._waiting is not None:
            self._waiting.append(packet)
            return
        key = self.server.auth_keys.get(packet.auth_key_id)
        if key is None:
            self._refuse_key()
        elif self.key is None and not key.destroyed and self.server.rivals(self, key):
            self._waiting = [packet]
            self._judging = asyncio.get_running_loop().create_task(self._judge(key))
        else:
            self._open(key, packet)

    async def _judge(self, key: AuthKey) -> None:
        """Destroy the key if another connection that uses it stays open."""
        for _ in range(RIVAL_PROBES):
            await asyncio.sleep(RIVAL_PROBE_SECONDS)
            if not self.server.rivals(self, key):
                break
        else:
            log.warning("Two open connections use the key %s of user %s", key.short_id, key.user_id)
            self.server.auth_keys.destroy(key, "AUTH_KEY_DUPLICATED")
        waiting, self._waiting = self._waiting or [], None
        for packet in waiting:
            if not self.gone:
                self._open(key, packet)

    def _open(self, key: AuthKey, packet: EncryptedMessagePacket) -> None:
        try:
            plain = crypto.decrypt(key.key, bytes(packet.message_key), bytes(packet.encrypted_data))
        except crypto.BadPacket as error:
            log.warning("A packet under the key %s cannot be decrypted: %s", key.short_id, error)
            self._refuse_key()
            return
        self.key = key
        self._session_received(key, plain)

    def _refuse_key(self) -> None:
        self._write(ErrorPacket(KEY_UNKNOWN))
        self.gone = True
        if self._transport:
            self._transport.close()

    # The session

    def _session_received(self, key: AuthKey, plain: crypto.Plaintext) -> None:
        new_session = plain.session_id != self._session_id
        if new_session:
            self._session_id, self._content_messages = plain.session_id, 0
            self._seen_ids.clear()
        if plain.salt != key.salt:
            self.send(types.BadServerSalt(plain.message_id, plain.seq_no, BAD_SALT, key.salt))
            self._session_id = None if new_session else self._session_id
            return
        if code := self._id_problem(plain.message_id):
            self.send(types.BadMsgNotification(plain.message_id, plain.seq_no, code))
            return
        if new_session:
            self.send(types.NewSessionCreated(plain.message_id, self.server.next_message_id(), key.salt))
        self._open_parts(plain)

    def _open_parts(self, plain: crypto.Plaintext) -> None:
        try:
            messages = list(wire.parts(plain.message_id, plain.seq_no, plain.body))
        except (ValueError, struct.error, OSError, BufferError) as error:
            log.warning("A malformed container: %s", error)
            self.send(types.BadMsgNotification(plain.message_id, plain.seq_no, 64))
            return
        for message_id, _seq_no, body in messages:
            if message_id in self._seen_ids or self.gone:
                continue
            self._seen_ids.append(message_id)
            self._dispatcher.receive(self, message_id, body)

    def _id_problem(self, message_id: int) -> int | None:
        age = self.server.wall_clock() - (message_id >> 32)
        if age > TOO_OLD:
            return ID_TOO_LOW
        return ID_TOO_HIGH if age < -TOO_NEW else None

    # Sending

    def send(self, message: Any, *, content: bool = False) -> None:
        """Send a TL object, or its bytes, to the client's session."""
        self.send_bytes(bytes(message), content=content, answer=True)

    def send_bytes(self, body: bytes, *, content: bool, answer: bool) -> None:
        if self.gone or self.key is None or self._session_id is None:
            return
        seq_no = self._content_messages * 2 + (1 if content else 0)
        self._content_messages += 1 if content else 0
        plain = crypto.Plaintext(
            self.key.salt, self._session_id, self.server.next_message_id(answer=answer), seq_no, body
        )
        message_key, data = crypto.encrypt(self.key.key, plain)
        self._write(EncryptedMessagePacket(self.key.id, message_key, data))

    @property
    def can_push(self) -> bool:
        """Whether updates may be sent: only to a session that has made a request after its login."""
        return self.wants_updates and self._session_id is not None and not self.gone

    def _write(self, packet: Any) -> None:
        if not self._transport or self._transport.is_closing():
            return
        self._transport.write(bytes(self._framing.send(packet)))
        if self._transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            log.warning("A client no longer reads its data; the connection is dropped")
            self.drop()
