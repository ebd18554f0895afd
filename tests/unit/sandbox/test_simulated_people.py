"""Simulated people against a World: no network, everything a hundred times as fast."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest
import pytest_asyncio
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from sandbox.llm.answers import REASONS, answer
from sandbox.people import People, add_people_routes
from sandbox.scenario import Scenario
from sandbox.world.actions import membership, sending
from sandbox.world.world import World

SPEED = 100.0
# Generous: it is only waited for when something is broken.
DEADLINE = 20.0


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not true():
            await asyncio.sleep(0.002)


class Town:
    """The demo's world with its people, and the team's side of private talks."""

    def __init__(self, seed: int | None = None) -> None:
        self.scenario = Scenario.load("demo")
        self.world = World()
        self.scenario.apply(self.world)
        self.people = People(self.world, self.scenario, speed=SPEED, seed=seed)
        self.users = self.scenario.user_ids()
        self._task = asyncio.create_task(self.people.run())

    async def listening(self) -> "Town":
        # `run` subscribes before its first wait.
        await asyncio.sleep(0)
        return self

    def write(self, person: str, text: str = "Hello", account: str = "mira") -> None:
        sending.send(self.world, user_id=self.users[account], peer=self.users[person], text=text, by="account")

    def received(self, person: str, account: str = "mira") -> list[str]:
        pair = (self.users[person], self.users[account])
        return [entry.text for entry in self.world.ledger if (entry.from_user, entry.peer) == pair]

    async def converse(self, person: str, account: str = "mira") -> list[str]:
        """Writes until the person no longer answers; what they answered."""
        while True:
            before = len(self.received(person, account))
            self.write(person, account=account)
            if not self.people.status()["waiting"]:
                return self.received(person, account)
            await until(lambda: not self.people.status()["waiting"])
            assert len(self.received(person, account)) == before + 1

    async def end(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


@pytest_asyncio.fixture
async def town() -> AsyncIterator[Town]:
    town = await Town().listening()
    yield town
    await town.end()


def action(texts: list[str]) -> str:
    """What the local LLM makes of the last thing that a person wrote."""
    return answer([{"role": "user", "content": texts[-1]}]).action


async def test_no_line_is_sent_before_the_start(town: Town) -> None:
    assert town.people.status() == {"state": "idle", "said": 0, "of": len(town.scenario.script()), "waiting": 0}
    assert not town.world.ledger


async def test_every_line_is_sent_once_in_its_order_and_chat(town: Town) -> None:
    town.people.start()
    town.people.start()
    await until(lambda: town.people.status()["state"] == "done")
    chats = town.scenario.chat_ids()
    planned = [(town.users[line.who], chats[line.chat], line.text) for line in town.scenario.script()]
    assert [(entry.from_user, entry.peer, entry.text) for entry in town.world.ledger] == planned


async def test_replies_answer_the_line_that_they_name_in_every_kind_of_chat(town: Town) -> None:
    town.people.start()
    await until(lambda: town.people.status()["state"] == "done")
    script, ledger = town.scenario.script(), town.world.ledger
    texts = {line.key: line.text for line in script if line.key}
    replied: dict[int, int] = {}
    for line, entry in zip(script, ledger, strict=True):
        original = town.world.entry(entry.reply_to) if entry.reply_to else None
        assert (original.text if original else None) == (texts[line.reply_to] if line.reply_to else None)
        replied[entry.peer] = replied.get(entry.peer, 0) + bool(original)
    assert set(replied) == set(town.scenario.chat_ids().values())
    assert all(replied.values())


async def test_the_curious_answer_two_or_three_times_and_say_goodbye(town: Town) -> None:
    answers = await town.converse("irina")
    assert len(answers) in (3, 4)
    assert action(answers) == "close"
    assert len(set(answers)) == len(answers)


async def test_those_who_ask_for_prices_ask_first(town: Town) -> None:
    answers = await town.converse("emily")
    assert answer([{"role": "user", "content": answers[0]}]).reason == REASONS["price"]
    assert action(answers) == "close"


@pytest.mark.parametrize(
    ("person", "answers", "expected"),
    [("david", 2, "handover"), ("pavel", 1, "opt_out"), ("oleg", 1, "opt_out"), ("hannah", 2, "opt_out")],
)
async def test_each_behaviour_ends_in_its_own_way(town: Town, person: str, answers: int, expected: str) -> None:
    texts = await town.converse(person)
    assert (len(texts), action(texts)) == (answers, expected)


async def test_stop_is_one_word_and_a_refusal_is_none(town: Town) -> None:
    assert (await town.converse("oleg"))[-1].lower() == "стоп"
    assert (await town.converse("hannah"))[-1].lower() == "stop"
    assert "стоп" not in (await town.converse("pavel"))[-1].lower()


async def test_the_silent_never_answer(town: Town) -> None:
    assert await town.converse("sergey") == []


async def test_a_burst_is_answered_once(town: Town) -> None:
    for text in ("Hello", "It is us again", "And again"):
        town.write("irina", text)
    await until(lambda: not town.people.status()["waiting"])
    assert len(town.received("irina")) == 1


async def test_people_do_not_answer_each_other_nor_in_chats(town: Town) -> None:
    sending.send(town.world, user_id=town.users["olga"], peer=town.users["irina"], text="Hi")
    chat = town.scenario.chat_ids()["expats"]
    sending.send(town.world, user_id=town.users["mira"], peer=chat, text="Hi", by="account")
    assert town.people.status()["waiting"] == 0


async def test_a_blocked_person_does_not_stop_the_others(town: Town) -> None:
    town.write("irina")
    town.write("emily")
    membership.block(town.world, town.users["mira"], town.users["irina"])
    await until(lambda: not town.people.status()["waiting"])
    assert (len(town.received("irina")), len(town.received("emily"))) == (0, 1)


async def test_the_same_seed_gives_the_same_words() -> None:
    async def words(seed: int) -> dict[str, list[str]]:
        town = await Town(seed=seed).listening()
        answers = {person.key: await town.converse(person.key) for person in town.scenario.people}
        await town.end()
        return answers

    first, again, other = await words(5), await words(5), await words(6)
    assert first == again != other


async def test_cancelled_people_stop_listening() -> None:
    town = await Town().listening()
    town.write("irina")
    await town.end()
    town.write("emily")
    assert town.people.status()["waiting"] == 0
    assert {entry.by for entry in town.world.ledger} == {"account"}


async def test_the_control_routes_start_and_report(town: Town) -> None:
    app = web.Application()
    add_people_routes(app, town.people)
    async with TestServer(app) as server, ClientSession() as http:
        async with http.get(server.make_url("/people")) as response:
            assert (await response.json())["state"] == "idle"
        async with http.post(server.make_url("/people/start")) as response:
            assert (await response.json())["state"] == "talking"
        await until(lambda: town.people.status()["state"] == "done")
        async with http.get(server.make_url("/people")) as response:
            assert (await response.json())["said"] == len(town.scenario.script())
