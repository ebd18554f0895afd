"""Finds contradictions between a seed file and the database."""

from collections.abc import Iterator

from bots.accounts.role_changes import role_problem
from bots.models import Bot
from campaigns.chats.references import reference_problem
from campaigns.models import Chat
from coolthing_site.seeding.problems import Problem
from coolthing_site.seeding.shape import SeedFile


def problems(seed: SeedFile) -> list[Problem]:
    return [*_bots(seed), *_chats(seed)]


def role_problems(seed: SeedFile) -> list[Problem]:
    """Problems with changed roles. Call it before the rows are locked: `role_problem` takes earlier locks."""
    parts = {part.key: (index, part) for index, part in enumerate(seed.bots)}
    found = []
    for bot_id, key in Bot.objects.filter(key__in=parts).order_by("pk").values_list("pk", "key"):
        index, part = parts[key]
        if reason := role_problem(bot_id=bot_id, role=part.role):
            found.append(Problem(("bots", index, "role"), reason))
    return found


def _bots(seed: SeedFile) -> Iterator[Problem]:
    known = {bot.key: bot for bot in Bot.objects.select_related("session")}
    # Phones are encrypted: the database cannot compare them.
    owners = {bot.phone: bot.key for bot in known.values()}
    for index, part in enumerate(seed.bots):
        path, bot = ("bots", index, "phone"), known.get(part.key)
        owner = owners.get(part.phone, part.key)
        if owner != part.key:
            yield Problem(path, f'bot "{owner}" already has this phone number')
        elif bot is not None and bot.phone != part.phone and hasattr(bot, "session"):
            yield Problem(
                path, f'bot "{part.key}" is logged in with another phone number: use a new key for a new account'
            )


def _chats(seed: SeedFile) -> Iterator[Problem]:
    owners = dict(Chat.objects.values_list("reference", "key"))
    ids = dict(Chat.objects.values_list("key", "pk"))
    for index, part in enumerate(seed.chats):
        owner = owners.get(part.telegram, part.key)
        if owner != part.key:
            yield Problem(("chats", index, "telegram"), f'chat "{owner}" already has the reference {part.telegram}')
        elif part.key in ids and (wrong := reference_problem(chat_id=ids[part.key], reference=part.telegram)):
            yield Problem(("chats", index, "telegram"), wrong)
