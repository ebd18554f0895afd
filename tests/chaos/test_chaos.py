"""Under load everything is killed, cut and stopped; at the end each event was handled exactly once.

`make chaos` runs it with 10 500 events and every fault, `make test` with fewer of both. `CHAOS_SEED` repeats a run.
"""

import os
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import NoReturn

import pytest
from kombu import Connection

from tests.chaos import faults
from tests.chaos.bus import CHAOS_DLQS, DLQS, EVERY_QUEUE
from tests.chaos.faults import World
from tests.chaos.fleet import COMMANDS
from tests.chaos.load import FOREIGN_SHARE
from tests.chaos.verdict import Verdict

EVENTS = int(os.environ.get("CHAOS_EVENTS", "1500"))
FAULTS = max(4, EVENTS // 500)
EVENTS_A_SECOND = 90.0
# Nothing moves for so long: the run has failed. Longer than any outage that a fault makes, and what follows it.
STALLED_SECONDS = 60.0
# While it waits the test says how far it is.
PROGRESS_SECONDS = 5.0
# Two cores that others use, too, handle some 30 events a second.
_LIMIT_SECONDS = 180 + EVENTS / 15


@pytest.mark.timeout(_LIMIT_SECONDS)
def test_every_event_is_handled_exactly_once_whatever_happens(world: World, seed: int):
    world.note(f"CHAOS_SEED={seed} CHAOS_EVENTS={EVENTS}")
    verdict = Verdict(world.servers.env["DATABASE_URL"], seed, EVENTS)
    world.fleet.start_all()
    writers = world.fleet.start("writers", "-m", "tests.chaos.writers", str(seed), str(EVENTS), _rate(0.75))
    foreign = world.fleet.start("foreign", "-m", "tests.chaos.foreign", str(seed), str(EVENTS), _rate(0.25))
    _do_harm(world, verdict)
    _await(world, verdict, lambda: not writers.is_running() and not foreign.is_running(), "the publishers")
    world.note("everything is published")
    ticks = verdict.ticks()
    _await(world, verdict, verdict.is_settled, "the last effects")
    _await(world, verdict, lambda: verdict.ticks() > ticks, "beat")
    world.note("everything is handled")
    # First: a tick that nobody takes any more would expire, and be left for the archive.
    codes = world.fleet.stop(["beat"])
    _await(world, verdict, lambda: not _left(world), "the last messages")
    codes |= world.fleet.stop(COMMANDS.keys() - codes.keys())
    _judge(world, verdict, codes)


def _do_harm(world: World, verdict: Verdict) -> None:
    """Each fault waits for its moment: a share of the events, drawn by lot, is committed."""
    total = EVENTS - EVENTS // FOREIGN_SHARE
    harm = faults.plan(world.rng, FAULTS)
    moments = sorted(world.rng.uniform(0.05, 0.9) for _ in harm)
    for fault, moment in zip(harm, moments, strict=True):
        reached = int(moment * total)
        _await(world, verdict, partial(_has_committed, verdict, reached), f"{reached} committed events")
        fault(world)


def _has_committed(verdict: Verdict, count: int) -> bool:
    return verdict.committed() >= count


def _await(world: World, verdict: Verdict, check: Callable[[], bool], what: str) -> None:
    """As long as something moves; every few seconds it says how far it is."""
    progress, moved = "", time.monotonic()
    while not _comes_true(world, check):
        now = verdict.progress()
        if now != progress:
            progress, moved = now, time.monotonic()
            world.note(progress)
        if time.monotonic() > moved + STALLED_SECONDS:
            _fail(world, verdict, [f"{what}: nothing has moved for {STALLED_SECONDS:.0f} s"])
        if ended := world.fleet.ended():
            _fail(world, verdict, [f"nobody killed them, but they have ended: {', '.join(ended)}"])


def _comes_true(world: World, check: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PROGRESS_SECONDS
    while not (come := check()) and not world.fleet.ended() and time.monotonic() < deadline:
        time.sleep(0.3)
    return come


def _judge(world: World, verdict: Verdict, codes: dict[str, int]) -> None:
    wrong = [f"{name} ended with {code}" for name, code in codes.items() if code]
    wrong += _left_in_queues(world, len(verdict.dead))
    if wrong or verdict.problems():
        _fail(world, verdict, wrong)


def _fail(world: World, verdict: Verdict, wrong: list[str]) -> NoReturn:
    world.fleet.dump_stacks()
    world.fleet.kill_all()
    # What is wrong stands last: a report this long is often cut in its middle.
    report = [*world.fleet.last_words(), "", *world.timeline, "", *wrong, *verdict.problems()]
    pytest.fail("\n".join(report), pytrace=False)


def _left_in_queues(world: World, dead: int) -> list[str]:
    """What the stopped workers did not acknowledge is in its queue again, and shows here as well."""
    counts = _counts(world, EVERY_QUEUE)
    left = [f"{name} has {count} messages" for name, count in counts.items() if count and name not in DLQS]
    letters = sum(counts[name] for name in CHAOS_DLQS)
    # A dead letter travels at least once; each of its copies is for onlookers only.
    return left if letters >= dead else [*left, f"the queues of dead letters have {letters} of {dead}"]


def _left(world: World) -> int:
    return sum(_counts(world, set(EVERY_QUEUE) - set(DLQS)).values())


def _counts(world: World, queues: Iterable[str]) -> dict[str, int]:
    with Connection(world.servers.env["RABBITMQ_URL"]) as connection:
        channel = connection.default_channel
        return {name: channel.queue_declare(name, passive=True).message_count for name in queues}


def _rate(share: float) -> str:
    return str(EVENTS_A_SECOND * share)
