"""Scenarios: the people and chats of the sandbox's world, the lines that people send, and their answers in private.

A scenario is a YAML file. Each line lists the campaigns that should find it (`wants`), so that the hits of the product
can be compared with a list that does not depend on the product's matching.
"""

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, ValidationError, model_validator

from sandbox.scenario_parts import (
    Account,
    Behaviour,
    Chatter,
    Language,
    Replies,
    Resident,
    ScenarioChat,
    ScenarioLine,
    ScenarioPart,
    ScenarioPerson,
    Text,
)
from sandbox.world.world import World

SCENARIOS = Path(__file__).parent / "scenarios"
# The share of small-talk lines that reply to the line before them in their chat.
SMALL_TALK_REPLIES = 0.3
# Marked ids: a supergroup's begins with -100, a basic group's is just negative.
FIRST_USER_ID = 7_100_000_001
FIRST_CHAT_ID = {"supergroup": -1_002_100_000_001, "group": -4_100_001}


class ScenarioError(ValueError):
    """The file is not a scenario. The message contains the file, the path inside it and the reason."""


class Scenario(ScenarioPart):
    """A valid scenario: every name in it exists, and people send only to chats of which they are members."""

    name: Text
    seed: int = 1
    play_seconds: Annotated[float, Field(gt=0)] = 25.0
    campaigns: tuple[str, ...] = ()
    accounts: tuple[Account, ...]
    people: tuple[ScenarioPerson, ...]
    chats: tuple[ScenarioChat, ...]
    lines: tuple[ScenarioLine, ...] = ()
    small_talk: tuple[Chatter, ...] = ()
    replies: dict[Behaviour, Replies] = {}

    @classmethod
    def load(cls, file: Path | str) -> "Scenario":
        """The scenario of a file, or of a name in `sandbox/scenarios/`. Raises ScenarioError."""
        path = Path(file)
        if not path.suffix and not path.exists():
            path = SCENARIOS / f"{file}.yaml"
        try:
            return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise ScenarioError(f"{path}: {error.strerror}") from error
        except yaml.YAMLError as error:
            raise ScenarioError(f"{path}: not YAML: {error}") from error
        except ValidationError as error:
            raise ScenarioError(_described(path, error)) from error

    @model_validator(mode="after")
    def _names_exist(self) -> "Scenario":
        problems = list(_problems(self))
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def residents(self) -> tuple[Resident, ...]:
        return (*self.accounts, *self.people)

    def chat(self, key: str) -> ScenarioChat:
        return next(chat for chat in self.chats if chat.key == key)

    def script(self) -> tuple[ScenarioLine, ...]:
        """All lines in the order in which they are sent. The small talk is spread between the written lines."""
        placed = [((index + 0.5) / len(self.lines), line) for index, line in enumerate(self.lines)]
        for chatter in self.small_talk:
            lines = _chatter_lines(self, chatter)
            placed += [((index + 0.5) / len(lines), line) for index, line in enumerate(lines)]
        return tuple(line for _, line in sorted(placed, key=lambda pair: pair[0]))

    def expected_leads(self) -> set[tuple[str, str]]:
        """(campaign, person) of every line that a campaign should find: one lead each."""
        return {(campaign, line.who) for line in self.lines for campaign in line.wants}

    def expected_hits(self) -> list[tuple[str, ScenarioLine]]:
        """(campaign, line) of every line that a campaign should find."""
        return [(campaign, line) for line in self.lines for campaign in line.wants]

    def private_answers(self, person: ScenarioPerson) -> tuple[str, ...]:
        """The person's answers to direct messages, one for each time. After the last the person is silent."""
        replies = self.replies.get(person.behaviour)
        if replies is None:
            return ()
        rng = random.Random(f"{self.seed}:{person.key}")
        turns = rng.randint(*replies.turns) if person.turns is None else person.turns
        phrases = replies.phrases(person.language)
        return (*rng.sample(phrases.answers, turns), rng.choice(phrases.last))

    def user_ids(self) -> dict[str, int]:
        """The user id of every account and person, by key. The same file always gives the same ids."""
        return {user.key: FIRST_USER_ID + index for index, user in enumerate(self.residents)}

    def chat_ids(self) -> dict[str, int]:
        """The marked id of every chat, by key."""
        return {
            chat.key: chat.id if chat.id is not None else FIRST_CHAT_ID[chat.kind] - index
            for index, chat in enumerate(self.chats)
        }

    def apply(self, world: World) -> None:
        """Create the users and chats in a new world, with the ids of `user_ids()` and `chat_ids()`."""
        users, chats = self.user_ids(), self.chat_ids()
        for user in self.residents:
            world.add_user(
                first_name=user.first_name,
                last_name=user.last_name,
                phone=user.phone if isinstance(user, Account) else None,
                username=user.username,
                user_id=users[user.key],
            )
        for chat in self.chats:
            world.add_chat(
                kind=chat.kind,
                title=chat.title,
                username=chat.username,
                invite_hash=chat.invite,
                members=[users[key] for key in chat.members],
                chat_id=chats[chat.key],
                owner=users[chat.owner] if chat.owner else None,
            )


def _chatter_lines(scenario: Scenario, chatter: Chatter) -> list[ScenarioLine]:
    rng = random.Random(f"{scenario.seed}:{chatter.chat}")
    members = set(scenario.chat(chatter.chat).members)
    lines: list[ScenarioLine] = []
    for index, text in enumerate(chatter.phrases):
        language = _language(text)
        able = [p.key for p in scenario.people if p.key in members and p.language == language]
        # No person sends two lines in a row if another person can send the second.
        others = [key for key in able if not lines or key != lines[-1].who] or able
        answers = bool(lines) and rng.random() < SMALL_TALK_REPLIES
        reply_to = lines[-1].key if answers else None
        key = f"talk-{chatter.chat}-{index}"
        lines.append(ScenarioLine(key=key, who=rng.choice(others), chat=chatter.chat, text=text, reply_to=reply_to))
    return lines


def _language(text: str) -> Language:
    return "ru" if re.search("[а-яё]", text, re.IGNORECASE) else "en"


def _described(path: Path, error: ValidationError) -> str:
    """One line for each problem: file, path inside it, reason."""
    lines = []
    for problem in error.errors():
        where = ".".join(map(str, problem["loc"]))
        for reason in problem["msg"].removeprefix("Value error, ").splitlines():
            lines.append(f"{path}: {where}: {reason}" if where else f"{path}: {reason}")
    return "\n".join(lines)


def _problems(scenario: Scenario) -> Iterable[str]:
    """Problems between parts: names that do not exist or exist twice."""
    yield from _doubles(scenario)
    users = {user.key for user in scenario.residents}
    for index, chat in enumerate(scenario.chats):
        wanted = (*chat.members, chat.owner) if chat.owner else chat.members
        yield from (f"chats.{index}: there is no account or person {key}" for key in wanted if key not in users)
    chats = {chat.key: chat for chat in scenario.chats}
    yield from _line_problems(scenario, chats)
    for index, chatter in enumerate(scenario.small_talk):
        yield from _chatter_problems(scenario, f"small_talk.{index}", chatter, chats)
    for index, person in enumerate(scenario.people):
        yield from _reply_problems(scenario, f"people.{index}", person)


def _doubles(scenario: Scenario) -> Iterable[str]:
    named = {
        "key": [user.key for user in scenario.residents],
        "chat": [chat.key for chat in scenario.chats],
        "line": [line.key for line in scenario.lines if line.key],
        "phone": [account.phone for account in scenario.accounts],
        "username": [name.lower() for name in (*_usernames(scenario.residents), *_usernames(scenario.chats))],
    }
    for what, names in named.items():
        yield from (f"the {what} {name} exists twice" for name in sorted(set(names)) if names.count(name) > 1)


def _usernames(named: Iterable[Resident | ScenarioChat]) -> Iterable[str]:
    return (it.username for it in named if it.username)


def _line_problems(scenario: Scenario, chats: Mapping[str, ScenarioChat]) -> Iterable[str]:
    people = {person.key for person in scenario.people}
    earlier: dict[str, set[str]] = defaultdict(set)
    for index, line in enumerate(scenario.lines):
        where = f"lines.{index}"
        if line.who not in people:
            yield f"{where}.who: there is no person {line.who}"
        if line.chat not in chats:
            yield f"{where}.chat: there is no chat {line.chat}"
        elif line.who not in chats[line.chat].members:
            yield f"{where}.who: {line.who} is not a member of {line.chat}"
        if line.reply_to and line.reply_to not in earlier[line.chat]:
            yield f"{where}.reply_to: no earlier line of {line.chat} has the key {line.reply_to}"
        for campaign in line.wants:
            if campaign not in scenario.campaigns:
                yield f"{where}.wants: there is no campaign {campaign}"
        if line.key:
            earlier[line.chat].add(line.key)


def _chatter_problems(
    scenario: Scenario, where: str, chatter: Chatter, chats: Mapping[str, ScenarioChat]
) -> Iterable[str]:
    if chatter.chat not in chats:
        yield f"{where}.chat: there is no chat {chatter.chat}"
        return
    spoken = {person.language for person in scenario.people if person.key in chats[chatter.chat].members}
    for index, text in enumerate(chatter.phrases):
        if _language(text) not in spoken:
            yield f"{where}.phrases.{index}: no person in {chatter.chat} speaks {_language(text)}"


def _reply_problems(scenario: Scenario, where: str, person: ScenarioPerson) -> Iterable[str]:
    if person.behaviour == "silent":
        return
    replies = scenario.replies.get(person.behaviour)
    if replies is None:
        yield f"{where}.behaviour: there are no replies for {person.behaviour}"
        return
    phrases = replies.phrases(person.language)
    turns = replies.turns[1] if person.turns is None else person.turns
    if len(phrases.answers) < turns or not phrases.last:
        yield f"{where}.behaviour: too few {person.language} replies for {person.behaviour}"
