"""Processes that `make up` keeps running: small shell commands in their place."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coolthing_site import keeping
from coolthing_site.keeping import Keeper
from tests.support import is_alive, wait_until

End = tuple[str, str, float]


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[End]]:
    """Run commands, `{here}` in them being a directory, until so many ends; then SIGTERM. What was told of the ends."""
    monkeypatch.setattr(keeping, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(keeping, "LONGEST_DELAY", 0.04)

    def run(ends: int, **commands: str) -> list[End]:
        seen: list[End] = []

        def on_end(name: str, _pid: int, how: str, delay: float) -> None:
            seen.append((name, how, delay))
            if len(seen) == ends:
                os.kill(os.getpid(), signal.SIGTERM)

        here = {name: command.format(here=tmp_path) for name, command in commands.items()}
        Keeper(here, environment=os.environ, directory=tmp_path, on_end=on_end).run()
        return seen

    return run


def test_one_that_ends_at_once_is_started_again_ever_more_slowly_and_explained(
    keep: Callable[..., list[End]], capsys: pytest.CaptureFixture[str]
):
    ends = keep(6, failing="sh -c 'echo no such thing; exit 3'", steady="sleep 1000")
    assert {(name, how) for name, how, _ in ends} == {("failing", "exit code 3")}
    assert [delay for _, _, delay in ends] == [0.01, 0.02, 0.04, 0.04, 0.04, 0.04]
    said = capsys.readouterr().out
    assert said.count("steady started") == 1 and "steady stopped (killed by SIGTERM)" in said
    assert "failing has ended 5 times in a row; the last lines it printed:" in said
    assert "system  |     no such thing" in said


def test_an_end_without_an_error_is_an_end_and_the_delay_forgets_what_ran_for_long(
    keep: Callable[..., list[End]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(keeping, "STEADY_SECONDS", 0.0)
    assert keep(3, done="true") == [("done", "exit code 0", 0.01)] * 3


def test_what_a_killed_process_leaves_behind_is_gone_before_the_next_one_starts(
    keep: Callable[..., list[End]], tmp_path: Path
):
    leaves = "sh -c 'sleep 1000 & echo $! >> {here}/children; kill -9 $$'"
    assert {how for _, how, _ in keep(2, parent=leaves)} == {"killed by SIGKILL"}
    children = [int(line) for line in (tmp_path / "children").read_text().split()]
    assert len(children) == 2
    # Killed by then; whose child it is now may take its time to notice.
    wait_until(lambda: not any(map(_runs, children)), what="the end of the children")


def _runs(pid: int) -> bool:
    return is_alive(pid) and ") Z " not in Path(f"/proc/{pid}/stat").read_text()
