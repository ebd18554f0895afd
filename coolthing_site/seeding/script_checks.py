"""Checks whether a script of a seed file could be played: lines, cast, targets."""

from collections.abc import Iterator

from coolthing_site.seeding.problems import Path, Problem
from coolthing_site.seeding.references import bot_reference_problem, chat_problem, repeated
from coolthing_site.seeding.shape import ChatPart, ScriptPart
from scripts.checks import text_problem


def script_problems(
    script: ScriptPart, roles: dict[str, str], chats: dict[str, ChatPart], path: Path
) -> Iterator[Problem]:
    yield from repeated((*path, "slots"), script.slots, what='a slot before is called "{}" too')
    yield from _lines(script, (*path, "lines"))
    yield from _cast(script, roles, (*path, "cast"))
    yield from _targets(script, chats, (*path, "targets"))


def line_key(script: ScriptPart, index: int) -> str:
    """A line without a key is called by its place."""
    return script.lines[index].key or f"line-{index + 1}"


def _lines(script: ScriptPart, path: Path) -> Iterator[Problem]:
    earlier: set[str] = set()
    for index, line in enumerate(script.lines):
        key, at = line_key(script, index), (*path, index)
        if key in earlier:
            yield Problem((*at, "key"), f'a line before is called "{key}" too')
        if line.slot not in script.slots:
            yield Problem((*at, "slot"), f'no slot is called "{line.slot}"')
        if line.reply_to is not None and line.reply_to not in earlier:
            yield Problem((*at, "reply_to"), f'no earlier line is called "{line.reply_to}"')
        reason = text_problem(line.text)
        if reason:
            yield Problem((*at, "text"), reason)
        earlier.add(key)


def _cast(script: ScriptPart, roles: dict[str, str], path: Path) -> Iterator[Problem]:
    for slot, bot in script.cast.items():
        reason = bot_reference_problem(bot, roles, "actor") if slot in script.slots else "no slot is called like that"
        if reason:
            yield Problem((*path, slot), reason)
    speaking = dict.fromkeys(line.slot for line in script.lines if line.slot in script.slots)
    for slot in speaking:
        if slot not in script.cast:
            yield Problem(path, f'slot "{slot}" has lines, but no bot')


def _targets(script: ScriptPart, chats: dict[str, ChatPart], path: Path) -> Iterator[Problem]:
    yield from repeated(path, script.targets, what='"{}" is there twice')
    for index, key in enumerate(script.targets):
        reason = chat_problem(key, chats, "script")
        if not reason and not chats[key].label:
            reason = f'chat "{key}" has no label that tells its members that scripts play there'
        if reason:
            yield Problem((*path, index), reason)
