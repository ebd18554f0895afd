"""Simulated people: they chat by a scenario's lines and answer whoever of the team writes to them in private.

They know the World only: no network, no Telegram library. Everything they write is fixed by the scenario and the
seed; only the moment of an answer is free.

HTTP: `GET /people` tells {state, said, of, waiting}; `POST /people/start` lets them begin.
"""

import asyncio
import logging
import random
from collections import defaultdict
from typing import Literal, TypedDict

from aiohttp import web

from sandbox.scenario import Scenario, ScenarioLine, ScenarioPerson
from sandbox.world.actions import sending
from sandbox.world.world import LedgerEntry, World, WorldError

log = logging.getLogger(__name__)

# Seconds at speed 1.0 between being written to and answering.
ANSWER_AFTER = (0.3, 1.0)

State = Literal["idle", "talking", "done"]


class Status(TypedDict):
    """`said` of `of` lines are said; `waiting` answers are about to be written."""

    state: State
    said: int
    of: int
    waiting: int


class People:
    """The people of a scenario that has been applied to `world`.

    `run()` answers private messages from the moment it is called and plays the lines once `start()` was called;
    it goes on answering until it is cancelled. At `speed` 2.0 everything takes half as long.
    """

    def __init__(self, world: World, scenario: Scenario, *, speed: float = 1.0, seed: int | None = None) -> None:
        self._world = world
        self._scenario = scenario if seed is None else scenario.model_copy(update={"seed": seed})
        self._speed = speed
        self._script = self._scenario.script()
        users = self._scenario.user_ids()
        self._users, self._chats = users, self._scenario.chat_ids()
        self._people: dict[int, ScenarioPerson] = {users[person.key]: person for person in self._scenario.people}
        self._accounts = {users[account.key] for account in self._scenario.accounts}
        self._rng = random.Random(self._scenario.seed)
        self._said: dict[str, LedgerEntry] = {}
        self._count = 0
        self._answered: dict[tuple[int, int], int] = defaultdict(int)
        self._pending: dict[tuple[int, int], asyncio.TimerHandle] = {}
        self._started = asyncio.Event()

    def start(self) -> None:
        """Lets the people begin with their lines; a second call changes nothing."""
        self._started.set()

    def status(self) -> Status:
        done = self._count == len(self._script)
        state: State = "idle" if not self._started.is_set() else "done" if done else "talking"
        return {"state": state, "said": self._count, "of": len(self._script), "waiting": len(self._pending)}

    async def run(self) -> None:
        unsubscribe = self._world.subscribe(self._heard)
        try:
            await self._started.wait()
            await self._play()
            await asyncio.Event().wait()
        finally:
            unsubscribe()
            for timer in self._pending.values():
                timer.cancel()
            self._pending.clear()

    async def _play(self) -> None:
        loop = asyncio.get_running_loop()
        pause = self._scenario.play_seconds / self._speed / max(1, len(self._script))
        begun = loop.time()
        for index, line in enumerate(self._script):
            # Counted from the beginning, so that late wake-ups do not add up.
            await asyncio.sleep(begun + index * pause - loop.time())
            self._speak(line)
            self._count += 1

    def _speak(self, line: ScenarioLine) -> None:
        speaker = self._users[line.who]
        answered = self._said.get(line.reply_to) if line.reply_to else None
        entry = self._say(
            speaker,
            self._chats[line.chat],
            line.text,
            reply_to=answered.id_for(speaker) if answered else None,
        )
        if entry and line.key:
            self._said[line.key] = entry

    def _heard(self, entry: LedgerEntry) -> None:
        """Answers a private message of one of the team's accounts, a burst of them only once."""
        person = self._people.get(entry.peer)
        talk = (entry.peer, entry.from_user)
        if person is None or entry.from_user not in self._accounts or talk in self._pending:
            return
        answers = self._scenario.private_answers(person)
        turn = self._answered[talk]
        if turn >= len(answers):
            return
        delay = self._rng.uniform(*ANSWER_AFTER) / self._speed
        loop = asyncio.get_running_loop()
        self._pending[talk] = loop.call_later(delay, self._answer, talk, answers[turn])

    def _answer(self, talk: tuple[int, int], text: str) -> None:
        del self._pending[talk]
        self._answered[talk] += 1
        person, account = talk
        self._say(person, account, text)

    def _say(self, user_id: int, peer: int, text: str, *, reply_to: int | None = None) -> LedgerEntry | None:
        chat = self._world.chats.get(peer)
        if chat is not None and chat.migrated_to is not None:
            peer, reply_to = chat.migrated_to, None
        try:
            return sending.send(self._world, user_id=user_id, peer=peer, text=text, reply_to=reply_to)
        except WorldError as error:
            # A person who was removed from a chat or blocked must not silence everybody else.
            log.warning("user %s could not write to %s: %s", user_id, peer, error)
            return None


def add_people_routes(app: web.Application, people: People) -> None:
    """Adds `GET /people` and `POST /people/start` to an aiohttp application."""

    async def status(request: web.Request) -> web.Response:
        return web.json_response(people.status())

    async def start(request: web.Request) -> web.Response:
        people.start()
        return web.json_response(people.status())

    app.router.add_get("/people", status)
    app.router.add_post("/people/start", start)
