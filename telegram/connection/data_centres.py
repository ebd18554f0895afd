"""Follows an account to the data centre where Telegram keeps it now (USER_MIGRATE_X)."""

from typing import Any

from telethon import errors
from telethon.network import MTProtoSender
from telethon.tl import functions
from telethon.tl.alltlobjects import LAYER

from telegram.connection.missed_updates import NoticingClient


class LoggedInClient(NoticingClient):
    """The client of a session that is logged in: it keeps the login when Telegram moves the account.

    After a move the session belongs to the new data centre, and the connection is closed: connect again. Telegram has
    not carried out the request that it answered with the move. If the move fails, nothing has changed.
    """

    _moving = False

    async def connect(self) -> None:
        try:
            await super().connect()
        except errors.UserMigrateError as error:
            # Telethon does not handle a move in the first answer of a connection.
            if self.is_connected():
                await self._switch_dc(error.new_dc)
            await super().connect()

    async def _switch_dc(self, new_dc: int) -> None:
        """Move to another data centre. Telethon calls this when Telegram answers USER_MIGRATE_X."""
        if self._moving:
            # The new data centre moves the account again: that request fails, and with it the first move.
            return
        self._moving = True
        try:
            await self._move(new_dc)
        finally:
            self._moving = False

    async def _move(self, new_dc: int) -> None:
        there = await self._get_dc(new_dc)
        login = await self(functions.auth.ExportAuthorizationRequest(new_dc))
        key = await self._imported(there, login)
        await self._disconnect()
        self.session.set_dc(there.id, there.ip_address, there.port)
        # Change the sender's own key object, because the next connection copies it to the session.
        self._sender.auth_key.key = key
        self.session.auth_key = self._sender.auth_key
        self.session.save()

    async def _imported(self, there: Any, login: Any) -> bytes:
        """A new key with which the account is logged in at `there`. No connection uses it."""
        sender = MTProtoSender(
            None,
            loggers=self._log,
            retries=self._connection_retries,
            auto_reconnect=False,
            connect_timeout=self._timeout,
        )
        options = {"loggers": self._log, "proxy": self._proxy, "local_addr": self._local_addr}
        await sender.connect(self._connection(there.ip_address, there.port, there.id, **options))
        try:
            self._init_request.query = functions.auth.ImportAuthorizationRequest(id=login.id, bytes=login.bytes)
            await sender.send(functions.InvokeWithLayerRequest(LAYER, self._init_request))
            return bytes(sender.auth_key.key)
        finally:
            await sender.disconnect()
