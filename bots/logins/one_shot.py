"""A login in one call, for a terminal, the local world and tests. Nothing is stored between its steps.

`bots.logins.steps` contains the login in steps, each of which survives a reload of its page.
"""

import asyncio
from collections.abc import Callable
from uuid import UUID

from bots.accounts.services import credentials_of
from bots.logins.sessions import bot_connect, bot_logged_in
from bots.logins.telegram_calls import QR_SECONDS, at_telegram
from bots.models import Bot
from telegram.logins import client
from telegram.logins.types import QrCode


def bot_connect_with_code(*, bot_id: UUID, ask_code: Callable[[], str]) -> Bot:
    """Log in an account without a password. `ask_code` is called after Telegram has sent a code. Raises LoginError."""
    bot = Bot.objects.get(pk=bot_id)
    credentials = credentials_of(bot)
    sent = at_telegram(client.request_code(credentials, bot.phone))
    session, me = at_telegram(client.sign_in(credentials, sent, ask_code()))
    return bot_connect(bot_id=bot_id, session=session, me=me)


def bot_connect_with_qr(*, bot_id: UUID, show: Callable[[QrCode], object]) -> Bot:
    """Log in by QR code. `show` is called with each new code until the operator scans one.

    Raises LoginError, and PasswordNeeded if the account has a password: then call `bot_connect_with_password`.
    """
    credentials = credentials_of(Bot.objects.get(pk=bot_id))

    async def shown(code: QrCode) -> None:
        show(code)

    session, me = asyncio.run(client.qr_wait(credentials, shown, limit=QR_SECONDS))
    return bot_logged_in(bot_id=bot_id, session=session, me=me)


def bot_connect_with_password(*, bot_id: UUID, session: str, password: str) -> Bot:
    """Log in with the account's password. `session` is from PasswordNeeded. May be repeated with another password.

    Raises LoginError.
    """
    credentials = credentials_of(Bot.objects.get(pk=bot_id))
    logged_in, me = at_telegram(client.check_password(credentials, session, password))
    return bot_logged_in(bot_id=bot_id, session=logged_in, me=me)
