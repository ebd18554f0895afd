"""The process of a peer: `python -m bench.child MODULE publish|pace|consume …`.

`MODULE` is a module of bench.peers. Its `publisher()` is a context manager, async or not, that returns a function. The
function takes a payload and returns once the broker has confirmed it. A module that works differently has `publish_all`
and `pace` instead. The broker's URL and the queue are in the environment.
"""

import asyncio
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.payload import payload

WARM_UP = 50
Send = Callable[[dict[str, Any]], Any]
# Message id → monotonic nanoseconds at which its publishing began.
Stamps = dict[str, int]


def url() -> str:
    return os.environ["BENCH_URL"]


def queue() -> str:
    return os.environ["BENCH_QUEUE"]


def main() -> None:
    module = importlib.import_module(sys.argv[1])
    action, arguments = sys.argv[2], sys.argv[3:]
    if action == "consume":
        module.consume()
    elif action == "publish":
        print(json.dumps(_publish(module, int(arguments[0]), float(arguments[1]))))
    elif action == "pace":
        stamps = _pace(module, float(arguments[0]), int(arguments[1]))
        Path(arguments[2]).write_text(json.dumps(stamps))
    else:
        raise SystemExit(f"no action {action!r}")


def _publish(module: ModuleType, count: int, limit: float) -> dict[str, float]:
    """Publish a few messages to warm up, then `count` messages, for at most `limit` seconds."""
    if hasattr(module, "publish_all"):
        return {"count": count, "seconds": module.publish_all(count)}
    return _run(module, lambda send: _timed(send, count, limit), lambda send: _timed_async(send, count, limit))


def _pace(module: ModuleType, rate: float, count: int) -> Stamps:
    if hasattr(module, "pace"):
        return module.pace(rate, count)
    return _run(module, lambda send: paced(send, rate, count), lambda send: _paced_async(send, rate, count))


def _run(module: ModuleType, work: Callable[[Send], Any], work_async: Callable[[Send], Any]) -> Any:
    made = module.publisher()
    if isinstance(made, AbstractContextManager):
        with made as send:
            return work(send)

    async def run(context: AbstractAsyncContextManager[Send]) -> Any:
        async with context as send:
            return await work_async(send)

    return asyncio.run(run(made))


def _timed(send: Send, count: int, limit: float) -> dict[str, float]:
    for _ in range(WARM_UP):
        send(payload())
    began = time.monotonic()
    sent = 0
    while sent < count and time.monotonic() - began < limit:
        send(payload())
        sent += 1
    return {"count": sent, "seconds": time.monotonic() - began}


async def _timed_async(send: Send, count: int, limit: float) -> dict[str, float]:
    for _ in range(WARM_UP):
        await send(payload())
    began = time.monotonic()
    sent = 0
    while sent < count and time.monotonic() - began < limit:
        await send(payload())
        sent += 1
    return {"count": sent, "seconds": time.monotonic() - began}


def paced(send: Send, rate: float, count: int) -> Stamps:
    stamps: Stamps = {}
    for wait in _due(rate, count):
        time.sleep(wait)
        message = payload(stamp=True)
        stamps[message["id"]] = time.monotonic_ns()
        send(message)
    return stamps


async def _paced_async(send: Send, rate: float, count: int) -> Stamps:
    stamps: Stamps = {}
    for wait in _due(rate, count):
        await asyncio.sleep(wait)
        message = payload(stamp=True)
        stamps[message["id"]] = time.monotonic_ns()
        await send(message)
    return stamps


def _due(rate: float, count: int) -> Iterator[float]:
    """The seconds to wait before each message. A late message is sent at once, and delays no other message."""
    began = time.monotonic()
    for number in range(count):
        yield max(0.0, began + number / rate - time.monotonic())


if __name__ == "__main__":
    main()
