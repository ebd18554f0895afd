"""The sandbox as a whole: restarts, threads, the command line."""

import asyncio
import os
import pickle
import re
import signal
import stat
import sys
from pathlib import Path

import aiohttp
import pytest

from coolthing_site.demo.environment import free_ports
from sandbox.mtproto.encryption.authkeys import AuthKeys
from sandbox.server import Sandbox, SandboxConfig
from sandbox.state import _MOVED, StateFile, StateUnreadable
from sandbox.world.actions import sending
from sandbox.world.world import World
from tests.support import ROOT
from tests.telegram.sandbox_support import Inbox, Town, send, until


def test_a_snapshot_of_the_older_format_is_read_where_modules_had_their_former_names(tmp_path: Path) -> None:
    path, world, keys = tmp_path / "state", World(seed=0), AuthKeys()
    anna = world.add_user(first_name="Anna", phone="9996611111")
    boris = world.add_user(first_name="Boris")
    once = sending.send(world, user_id=anna.id, peer=boris.id, text="Once", random_id=5)
    older = world.dump()
    older["_said"] = older.pop("_sent")
    # Protocol 2 writes the names of modules as lines, so that they can be replaced.
    data = pickle.dumps({"format": 4, "world": older, "keys": keys.dump()}, protocol=2)
    for former, module in _MOVED.items():
        data = data.replace(f"c{module}\n".encode(), f"c{former}\n".encode())
    for former in ("sandbox.boxes", "sandbox.entities", "sandbox.hashes", "sandbox.marks", "sandbox.registry"):
        assert f"c{former}\n".encode() in data
    path.write_bytes(data)
    now = World(seed=0)
    assert StateFile(path, now, AuthKeys()).load()
    assert now.users[anna.id].first_name == "Anna"
    repeated = sending.send(now, user_id=anna.id, peer=boris.id, text="Once", random_id=5)
    assert (repeated.seq, repeated.repeats, len(now.ledger)) == (once.seq, 1, 1)


def test_a_snapshot_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(pickle.dumps({"format": 3, "world": {}, "keys": {}}))
    with pytest.raises(StateUnreadable, match="format 3, not 5; remove it"):
        StateFile(path, World(seed=0), AuthKeys()).load()


async def test_accounts_stay_logged_in_over_a_restart(key_dir: Path, tmp_path: Path) -> None:
    state = tmp_path / "state" / "world.pickle"
    (port,) = free_ports(1)
    config = SandboxConfig(key_dir=key_dir, state=state, mtproto_port=port)
    async with Sandbox(config) as first:
        town = Town(first)
        anna = await town.login(town.anna)
        message_id = await send(anna, await anna.get_input_entity("boris"), "Once", random_id=5)
        saved = anna.session.save()
        peer = await anna.get_input_entity("boris")
        await town.close()
    assert stat.S_IMODE(state.stat().st_mode) == 0o600

    async with Sandbox(config) as second:
        town.sandbox = second
        again = town.client(saved)
        await again.connect()
        assert (await again.get_me()).id == town.anna.id
        assert await send(again, peer, "Once", random_id=5) == message_id
        assert [(entry.text, entry.repeats) for entry in second.world.ledger] == [("Once", 1)]
        assert await send(again, peer, "Twice", random_id=6) == message_id + 1
        await town.close()


async def test_a_snapshot_is_taken_while_it_runs(
    key_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.server.SNAPSHOT_SECONDS", 0.02)
    state = tmp_path / "world.pickle"
    async with Sandbox(SandboxConfig(key_dir=key_dir, state=state)) as sandbox:
        sandbox.world.add_user(first_name="Anna")
        await until(state.exists)
        before = state.stat().st_ino
        sandbox.world.add_user(first_name="Boris")
        await until(lambda: state.stat().st_ino != before)


async def test_a_file_that_is_no_snapshot_stops_the_start(key_dir: Path, tmp_path: Path) -> None:
    state = tmp_path / "world.pickle"
    state.write_bytes(b"nonsense")
    with pytest.raises(StateUnreadable, match="remove it"):
        await Sandbox(SandboxConfig(key_dir=key_dir, state=state)).start()


async def test_it_runs_in_a_thread_of_its_own(key_dir: Path) -> None:
    with Sandbox(SandboxConfig(key_dir=key_dir)) as sandbox:
        town = sandbox.call(Town, sandbox)
        anna = await town.login(town.anna)
        inbox = Inbox(anna)
        sandbox.call(sending.send, sandbox.world, user_id=town.boris.id, peer=town.anna.id, text="Hello")
        assert await inbox.wait_for(1) == ["Hello"]
        await town.close()


async def test_a_port_that_is_taken_is_an_error_in_the_callers_thread(key_dir: Path) -> None:
    async with Sandbox(SandboxConfig(key_dir=key_dir)) as first:
        http_port = int(first.http_url.rpartition(":")[2])
        for taken in (
            SandboxConfig(key_dir=key_dir, mtproto_port=first.mtproto_port),
            SandboxConfig(key_dir=key_dir, http_port=http_port),
        ):
            with pytest.raises(OSError, match="in use"), Sandbox(taken):
                pass


async def test_the_command_line_serves_until_it_is_stopped(key_dir: Path, tmp_path: Path) -> None:
    state = tmp_path / "world.pickle"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "sandbox", "--key-dir", str(key_dir), "--state", str(state), "--scenario", "demo"),
        cwd=ROOT,
        env=dict(os.environ, PYTHONUNBUFFERED="1"),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        url = await asyncio.wait_for(_control_url(process), 90)
        async with aiohttp.ClientSession(url) as session, session.get("/world") as answer:
            assert (await answer.json())["users"]
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 60) == 0
    finally:
        if process.returncode is None:
            process.kill()
    assert state.exists()


async def _control_url(process: asyncio.subprocess.Process) -> str:
    assert process.stderr
    async for line in process.stderr:
        if found := re.search(rb"control on (http://\S+)", line):
            return found[1].decode()
    raise AssertionError("it ended before it served")
