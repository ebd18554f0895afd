"""Log a bot in to its Telegram account."""

from getpass import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from bots.models import Bot
from bots.services import bot_connect_with_code
from telegram.login import LoginError


class Command(BaseCommand):
    help = "Log a bot in: Telegram sends a code to the account's other devices, you enter it here."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("key", help="the bot's key, as in the seed file")
        parser.add_argument("--code", help="the login code, when it is known beforehand (Telegram's test accounts)")

    def handle(self, *, key: str, code: str | None, **options: Any) -> None:
        bot = Bot.objects.filter(key=key).first()
        if bot is None:
            known = ", ".join(Bot.objects.order_by("key").values_list("key", flat=True)) or "none; seed some first"
            raise CommandError(f"there is no bot {key!r}. Known: {known}")
        try:
            bot = bot_connect_with_code(
                bot_id=bot.pk,
                ask_code=lambda: code or input(f"Code that Telegram has sent to {_masked(bot.phone)}: ").strip(),
                ask_password=lambda: getpass("Password of the account (two-step verification): "),
            )
        except LoginError as error:
            raise CommandError(f"{key} is not logged in: {error}") from error
        except (EOFError, KeyboardInterrupt):
            raise CommandError(f"{key} is not logged in: no code was entered") from None
        name = f"@{bot.username}" if bot.username else bot.telegram_user_id
        self.stdout.write(self.style.SUCCESS(f"{key} is logged in as {name}"))


def _masked(phone: str) -> str:
    return f"{phone[:3]}…{phone[-2:]}"
