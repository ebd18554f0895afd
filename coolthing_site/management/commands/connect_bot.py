"""Log a bot in to its Telegram account, in a terminal."""

import sys
from collections.abc import Callable
from datetime import datetime
from functools import partial
from getpass import getpass
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

import segno
from django.core.management.base import CommandError, CommandParser

from bots.logins import steps
from bots.logins.one_shot import bot_connect_with_password, bot_connect_with_qr
from bots.logins.pending_logins import code_sent, login_pending
from bots.logins.sessions import bot_import
from bots.models import Bot, PendingLogin
from telegram.logins.session_imports import from_file, from_string
from telegram.logins.types import LoginError, PasswordNeeded, QrCode
from vault.commands import SecretsCommand

T = TypeVar("T")

# How often the user may enter a code or a password: after more wrong ones Telegram refuses the account for a day.
TRIES = 3
# Telegram's errors after which the user may enter the value again, and errors after which a new code can be sent.
_MISTYPED = frozenset(
    {
        "PHONE_CODE_INVALID",
        "PHONE_CODE_EMPTY",
        "PASSWORD_HASH_INVALID",
        "PASSWORD_EMPTY",
        "SRP_ID_INVALID",
        "SRP_PASSWORD_CHANGED",
    }
)
_REPLACED = frozenset({"PHONE_CODE_EXPIRED", "PHONE_CODE_HASH_EMPTY", "PHONE_CODE_EMPTY"})


class Command(SecretsCommand):
    help = (
        "Log a bot in to its Telegram account: with the code that Telegram sends to the account's other devices, "
        "with a QR code, or with a session that another program has made with Telethon."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("key", help="the bot's key, as in the seed file")
        parser.add_argument(
            "--phone", default="", help="the account's phone number, if it is not the bot's stored number"
        )
        way = parser.add_mutually_exclusive_group()
        way.add_argument("--code", help="the login code, if you know it beforehand (Telegram's test accounts)")
        way.add_argument("--qr", action="store_true", help="show a QR code to scan with Telegram on a phone")
        way.add_argument("--session-file", type=Path, metavar="FILE", help="import a .session file of Telethon")
        way.add_argument(
            "--string-session", action="store_true", help="import a StringSession of Telethon from standard input"
        )

    def handle(self, *, key: str, **options: Any) -> None:
        bot = Bot.objects.filter(key=key).first()
        if bot is None:
            known = (
                ", ".join(Bot.objects.order_by("key").values_list("key", flat=True))
                or "none; create some with seed_campaigns"
            )
            raise CommandError(f"there is no bot {key!r}. Bots: {known}")
        try:
            bot = self._connect(bot, options)
        except LoginError as error:
            raise CommandError(f"{key} is not logged in: {error}") from error
        except BrokenPipeError:
            # The reader of the output has ended: `manage.py` handles this.
            raise
        except OSError as error:
            raise CommandError(f"{key} is not logged in: {error.filename}: {error.strerror}") from error
        except (EOFError, KeyboardInterrupt):
            raise CommandError(f"{key} is not logged in: nothing was entered") from None
        name = f"@{bot.username}" if bot.username else bot.telegram_user_id
        self.stdout.write(self.style.SUCCESS(f"{key} is logged in as {name}"))

    def _connect(self, bot: Bot, options: dict[str, Any]) -> Bot:
        if options["qr"]:
            return self._by_qr(bot)
        if options["session_file"]:
            return bot_import(bot_id=bot.pk, session=from_file(options["session_file"].read_bytes()))
        if options["string_session"]:
            return bot_import(bot_id=bot.pk, session=from_string(_read_secret()))
        return self._by_code(bot, options["phone"], options["code"])

    def _by_qr(self, bot: Bot) -> Bot:
        try:
            return bot_connect_with_qr(bot_id=bot.pk, show=self._show)
        except PasswordNeeded as needed:
            second = partial(bot_connect_with_password, bot_id=bot.pk, session=needed.session)
            return self._tried(lambda: second(password=_ask_password()))

    def _by_code(self, bot: Bot, phone: str, code: str | None) -> Bot:
        """Use the panel's steps. A login that was begun there or here continues with the code that was sent then."""
        pending = login_pending(bot_id=bot.pk)
        if phone or code or pending is None or pending.step != PendingLogin.Step.CODE:
            _send_code(bot, phone)
        logged_in = (
            steps.login_enter_code(bot_id=bot.pk, code=code) if code else self._tried(lambda: self._code_entered(bot))
        )
        enter = partial(steps.login_enter_password, bot_id=bot.pk)
        return logged_in or self._tried(lambda: enter(password=_ask_password()))

    def _code_entered(self, bot: Bot) -> Bot | None:
        """Enter the code; offer a new one if it has expired or is missing. Returns None if the password is needed."""
        while True:
            try:
                return steps.login_enter_code(bot_id=bot.pk, code=_ask_code(bot))
            except LoginError as error:
                if error.reason not in _REPLACED or not _agreed(f"{error} Should Telegram send a new code?"):
                    raise
            steps.login_send_code(bot_id=bot.pk)

    def _tried(self, step: Callable[[], T]) -> T:
        """The step's result. After a mistyped value the user may try again, TRIES times in all. Raises LoginError."""
        for _ in range(TRIES - 1):
            try:
                return step()
            except LoginError as error:
                if error.reason not in _MISTYPED:
                    raise
                self.stderr.write(str(error))
        return step()

    def _show(self, code: QrCode) -> None:
        drawn = StringIO()
        segno.make(code.url, error="l", micro=False).terminal(drawn, border=2, compact=True)
        self.stdout.write(drawn.getvalue())
        until: datetime = code.expires_at.astimezone()
        self.stdout.write(
            "On the phone: Telegram, Settings, Devices, Link Desktop Device. "
            f"If you do not scan this code before {until:%H:%M:%S}, a new one will be shown."
        )


def _send_code(bot: Bot, phone: str) -> None:
    number = phone or bot.phone or input("Phone number of the account, with + and the country code: ").strip()
    steps.login_send_code(bot_id=bot.pk, phone=number)


def _ask_code(bot: Bot) -> str:
    pending = login_pending(bot_id=bot.pk)
    if pending is None or pending.step != PendingLogin.Step.CODE:
        raise LoginError(steps.OVER)
    phone = _masked(f"+{code_sent(pending).phone}")
    return input(f"Code that Telegram has sent to {phone} (press only Enter for a new code): ").strip()


def _agreed(question: str) -> bool:
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def _ask_password() -> str:
    return getpass("Password of the account (two-step verification): ")


def _read_secret() -> str:
    """Read a secret from a pipe, or from the terminal without showing it."""
    return getpass("StringSession: ") if sys.stdin.isatty() else sys.stdin.readline()


def _masked(phone: str) -> str:
    return f"{phone[:3]}…{phone[-2:]}"
