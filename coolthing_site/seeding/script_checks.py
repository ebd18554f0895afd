"""Checks whether a script of a seed file can be played: its lines, cast and targets."""

from collections.abc import Iterator

from coolthing_site.seeding.problems import Path, Problem
from coolthing_site.seeding.references import bot_reference_problem, chat_problem, repeated
from coolthing_site.seeding.shape import ChatPart, ScriptPart
from scripts.checks import text_problem


def script_problems(
    script: ScriptPart, roles: dict[str, str], chats: dict[str, ChatPart], path: Path
) -> Iterator[Problem]:
    yield from repeated((*path, "slots"), script.slots, what='an earlier slot has the same name: "{}"')
    yield from _lines(script, (*path, "lines"))
    yield from _cast(script, roles, (*path, "cast"))
    yield from _targets(script, chats, (*path, "targets"))


def line_key(script: ScriptPart, index: int) -> str:
    """The key of a line; without one, its position is the key."""
    return script.lines[index].key or f"line-{index + 1}"


def _lines(script: ScriptPart, path: Path) -> Iterator[Problem]:
    earlier: set[str] = set()
    for index, line in enumerate(script.lines):
        key, at = line_key(script, index), (*path, index)
        if key in earlier:
            yield Problem((*at, "key"), f'an earlier line has the same key: "{key}"')
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
        reason = (
            bot_reference_problem(bot, roles, "actor") if slot in script.slots else "there is no slot with this name"
        )
        if reason:
            yield Problem((*path, slot), reason)
    used = dict.fromkeys(line.slot for line in script.lines if line.slot in script.slots)
    for slot in used:
        if slot not in script.cast:
            yield Problem(path, f'slot "{slot}" has lines, but no bot is cast for it')


def _targets(script: ScriptPart, chats: dict[str, ChatPart], path: Path) -> Iterator[Problem]:
    yield from repeated(path, script.targets, what='"{}" appears twice')
    for index, key in enumerate(script.targets):
        reason = chat_problem(key, chats, "script")
        if not reason and not chats[key].label:
            reason = f'chat "{key}" has no label: add one that informs its members that scripts play in the chat'
        if reason:
            yield Problem((*path, index), reason)
