"""Finds duplicate names and invalid references."""

from collections.abc import Hashable, Iterable, Iterator

from coolthing_site.seeding.problems import Path, Problem
from coolthing_site.seeding.shape import ChatPart


def repeated(path: Path, values: Iterable[Hashable], *, field: str = "", what: str) -> Iterator[Problem]:
    seen: set[Hashable] = set()
    for index, value in enumerate(values):
        if value in seen:
            yield Problem((*path, index, field) if field else (*path, index), what.format(value))
        seen.add(value)


def bot_reference_problem(bot: str, roles: dict[str, str], wanted: str) -> str:
    if bot not in roles:
        return f'no bot is called "{bot}"'
    return "" if roles[bot] == wanted else f'bot "{bot}" has the role {roles[bot]}, not {wanted}'


def chat_problem(key: str, chats: dict[str, ChatPart], purpose: str) -> str:
    if key not in chats:
        return f'no chat is called "{key}"'
    if purpose in {permission.purpose for permission in chats[key].permissions}:
        return ""
    return f'chat "{key}" has no permission for the purpose "{purpose}"'
