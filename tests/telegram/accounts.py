"""Our adapter against the sandbox: accounts that are logged in through `telegram.logins.client`."""

from typing import Any

from sandbox.world.entities import User
from telegram.client import TelegramAccount
from telegram.logins.client import request_code, sign_in
from telegram.types import Credentials, IncomingMessage

CREDENTIALS = Credentials(api_id=1, api_hash="sandbox")


def point_at(settings: Any, sandbox: Any) -> None:
    """Have the product talk to this sandbox."""
    settings.TELEGRAM_SERVER = f"{sandbox.host}:{sandbox.mtproto_port}"
    settings.TELEGRAM_SERVER_KEY = str(sandbox.public_key_pem_path)


def code_of(user: User) -> str:
    assert user.phone
    return user.phone[5] * 5


async def logged_in(user: User) -> str:
    """The text of a fresh session of the user's."""
    assert user.phone
    session, _ = await sign_in(CREDENTIALS, await request_code(CREDENTIALS, user.phone), code_of(user))
    return session


class Accounts:
    """Connected accounts with what they have heard and saved."""

    def __init__(self) -> None:
        self._open: list[TelegramAccount] = []
        self.heard: dict[TelegramAccount, list[IncomingMessage]] = {}
        self.saved: dict[TelegramAccount, str] = {}

    async def open(self, session: str, *, receive_updates: bool = True) -> TelegramAccount:
        async def save(text: str) -> None:
            self.saved[account] = text

        account = TelegramAccount(CREDENTIALS, session, save, receive_updates=receive_updates)
        self.heard[account] = []
        account.on_message(self.heard[account].append)
        self._open.append(account)
        await account.connect()
        return account

    def texts(self, account: TelegramAccount) -> list[str]:
        return [message.text for message in self.heard[account]]

    async def close(self) -> None:
        for account in self._open:
            await account.disconnect()
