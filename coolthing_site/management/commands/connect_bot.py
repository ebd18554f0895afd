"""Log a bot in to its Telegram account, in a terminal."""

import sys
from datetime import datetime
from getpass import getpass
from io import StringIO
from pathlib import Path
from typing import Any

import segno
from django.core.management.base import CommandError, CommandParser

from bots.connecting import bot_connect_with_code, bot_connect_with_qr, bot_import
from bots.models import Bot
from telegram.imports import from_file, from_string
from telegram.logins import LoginError, QrCode
from vault.commands import SecretsCommand


class Command(SecretsCommand):
    help = (
        "Log a bot in. Telegram sends a code to the account's other devices, which you enter here; "
        "or you scan a QR code, or hand over a session that another program has made with Telethon."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("key", help="the bot's key, as in the seed file")
        way = parser.add_mutually_exclusive_group()
        way.add_argument("--code", help="the login code, when it is known beforehand (Telegram's test accounts)")
        way.add_argument("--qr", action="store_true", help="show a QR code, to be scanned with Telegram on a phone")
        way.add_argument("--session-file", type=Path, metavar="FILE", help="take over a .session file of Telethon")
        way.add_argument(
            "--string-session", action="store_true", help="take over a StringSession of Telethon, read from stdin"
        )

    def handle(self, *, key: str, **options: Any) -> None:
        bot = Bot.objects.filter(key=key).first()
        if bot is None:
            known = ", ".join(Bot.objects.order_by("key").values_list("key", flat=True)) or "none; seed some first"
            raise CommandError(f"there is no bot {key!r}. Known: {known}")
        try:
            bot = self._connect(bot, options)
        except LoginError as error:
            raise CommandError(f"{key} is not logged in: {error}") from error
        except OSError as error:
            raise CommandError(f"{key} is not logged in: {error.filename}: {error.strerror}") from error
        except (EOFError, KeyboardInterrupt):
            raise CommandError(f"{key} is not logged in: nothing was entered") from None
        name = f"@{bot.username}" if bot.username else bot.telegram_user_id
        self.stdout.write(self.style.SUCCESS(f"{key} is logged in as {name}"))

    def _connect(self, bot: Bot, options: dict[str, Any]) -> Bot:
        if options["qr"]:
            return bot_connect_with_qr(bot_id=bot.pk, show=self._show, ask_password=_ask_password)
        if options["session_file"]:
            return bot_import(bot_id=bot.pk, session=from_file(options["session_file"].read_bytes()))
        if options["string_session"]:
            return bot_import(bot_id=bot.pk, session=from_string(_read_secret()))
        if not bot.phone:
            raise LoginError("The bot has no phone number. Enter one in the panel, or use --qr.")
        return bot_connect_with_code(
            bot_id=bot.pk,
            ask_code=lambda: options["code"] or input(f"Code that Telegram has sent to {_masked(bot.phone)}: ").strip(),
            ask_password=_ask_password,
        )

    def _show(self, code: QrCode) -> None:
        drawn = StringIO()
        segno.make(code.url, error="l", micro=False).terminal(drawn, border=2, compact=True)
        self.stdout.write(drawn.getvalue())
        until: datetime = code.expires_at.astimezone()
        self.stdout.write(
            "On the phone: Telegram, Settings, Devices, Link Desktop Device. "
            f"A new code follows at {until:%H:%M:%S} unless this one is scanned."
        )


def _ask_password() -> str:
    return getpass("Password of the account (two-step verification): ")


def _read_secret() -> str:
    """From a pipe, or typed without being shown."""
    return getpass("StringSession: ") if sys.stdin.isatty() else sys.stdin.readline()


def _masked(phone: str) -> str:
    return f"{phone[:3]}…{phone[-2:]}"
