"""Simulated people. They send the lines of a scenario to the chats, and answer direct messages of the team's accounts.

They use only the World: no network, no Telegram library. The scenario and the seed determine every text and its order;
only the times of the answers vary.

HTTP: `GET /people` returns {state, said, of, waiting}; `POST /people/start` starts the lines.
"""

import asyncio
import logging
import random
from collections import defaultdict
from typing import Literal, TypedDict

from aiohttp import web

from sandbox.scenario import Scenario
from sandbox.scenario_parts import ScenarioLine, ScenarioPerson
from sandbox.world.actions import sending
from sandbox.world.world import LedgerEntry, World, WorldError

log = logging.getLogger(__name__)

# Seconds at speed 1.0 between a direct message and its answer.
ANSWER_AFTER = (0.3, 1.0)

State = Literal["idle", "talking", "done"]


class Status(TypedDict):
    """`said` of `of` lines were sent; `waiting` answers will be sent in a moment."""

    state: State
    said: int
    of: int
    waiting: int


class People:
    """The people of a scenario that has been applied to `world`.

    `run()` answers direct messages until it is cancelled. It sends the lines once `start()` has been called. At `speed`
    2.0 everything takes half as long.
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
        self._sent: dict[str, LedgerEntry] = {}
        self._count = 0
        self._answered: dict[tuple[int, int], int] = defaultdict(int)
        self._pending: dict[tuple[int, int], asyncio.TimerHandle] = {}
        self._started = asyncio.Event()

    def start(self) -> None:
        """Start to send the lines. A second call changes nothing."""
        self._started.set()

    def status(self) -> Status:
        done = self._count == len(self._script)
        state: State = "idle" if not self._started.is_set() else "done" if done else "talking"
        return {"state": state, "said": self._count, "of": len(self._script), "waiting": len(self._pending)}

    async def run(self) -> None:
        unsubscribe = self._world.subscribe(self._on_message)
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
            # Measured from the start, so that late wake-ups do not add up.
            await asyncio.sleep(begun + index * pause - loop.time())
            self._send_line(line)
            self._count += 1

    def _send_line(self, line: ScenarioLine) -> None:
        sender = self._users[line.who]
        answered = self._sent.get(line.reply_to) if line.reply_to else None
        entry = self._send(
            sender,
            self._chats[line.chat],
            line.text,
            reply_to=answered.id_for(sender) if answered else None,
        )
        if entry and line.key:
            self._sent[line.key] = entry

    def _on_message(self, entry: LedgerEntry) -> None:
        """Answer a direct message of one of the team's accounts. Messages in quick succession get one answer."""
        person = self._people.get(entry.peer)
        conversation = (entry.peer, entry.from_user)
        if person is None or entry.from_user not in self._accounts or conversation in self._pending:
            return
        answers = self._scenario.private_answers(person)
        turn = self._answered[conversation]
        if turn >= len(answers):
            return
        delay = self._rng.uniform(*ANSWER_AFTER) / self._speed
        loop = asyncio.get_running_loop()
        self._pending[conversation] = loop.call_later(delay, self._answer, conversation, answers[turn])

    def _answer(self, conversation: tuple[int, int], text: str) -> None:
        del self._pending[conversation]
        self._answered[conversation] += 1
        person, account = conversation
        self._send(person, account, text)

    def _send(self, user_id: int, peer: int, text: str, *, reply_to: int | None = None) -> LedgerEntry | None:
        chat = self._world.chats.get(peer)
        if chat is not None and chat.migrated_to is not None:
            peer, reply_to = chat.migrated_to, None
        try:
            return sending.send(self._world, user_id=user_id, peer=peer, text=text, reply_to=reply_to)
        except WorldError as error:
            # One person who was removed or blocked must not stop the others.
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
