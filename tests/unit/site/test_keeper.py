"""Processes that `make up` keeps running: small shell commands in their place."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coolthing_site.processes import keeper
from coolthing_site.processes.keeper import Keeper
from tests.support import is_alive, wait_until

# Writes down its process id, and goes on until it is ended.
STEADY = "sh -c 'echo $$ > {here}/steady; exec sleep 1000'"
# Fails as often as it is started, once the other one runs.
FAILING = "sh -c 'until test -s {here}/steady; do sleep 0.01; done; echo gone; exit 1'"
End = tuple[str, str, float]


def _terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def _hang_up() -> None:
    os.kill(os.getpid(), signal.SIGHUP)


def _fail(*_: object) -> None:
    raise RuntimeError("nobody has foreseen this")


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGHUP, _fail)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[End]]:
    """Run commands, `{here}` in them being a directory, until so many ends, then `at_last`; what ended, and how."""
    monkeypatch.setattr(keeper, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(keeper, "LONGEST_DELAY", 0.04)

    def run(ends: int, at_last: Callable[[], object] = _terminate, **commands: str) -> list[End]:
        seen: list[End] = []

        def on_end(name: str, _pid: int, how: str, delay: float) -> None:
            seen.append((name, how, delay))
            if len(seen) == ends:
                at_last()

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
    output = capsys.readouterr().out
    assert output.count("steady started") == 1 and "steady stopped (killed by SIGTERM)" in output
    assert "failing has ended 5 times in a row; the last lines of its output:" in output
    assert "system  |     no such thing" in output


def test_an_end_without_an_error_is_an_end_and_the_delay_forgets_what_ran_for_long(
    keep: Callable[..., list[End]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(keeper, "STEADY_SECONDS", 0.0)
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


def test_a_closed_terminal_ends_all(keep: Callable[..., list[End]], tmp_path: Path):
    keep(2, _hang_up, failing=FAILING, steady=STEADY)
    assert not _runs(_steady(tmp_path))


def test_a_closed_terminal_ends_nothing_under_nohup(keep: Callable[..., list[End]]):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def hang_up_and_terminate() -> None:
        _hang_up()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        _terminate()

    keep(1, hang_up_and_terminate, failing="false")


def test_an_unforeseen_error_leaves_nothing_running(keep: Callable[..., list[End]], tmp_path: Path):
    with pytest.raises(RuntimeError, match="foreseen"):
        keep(2, _fail, failing=FAILING, steady=STEADY)
    assert not _runs(_steady(tmp_path))


def test_an_output_that_nobody_reads_any_more_ends_nothing(
    keep: Callable[..., list[End]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as output, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", output)
        assert len(keep(2, failing=FAILING, steady=STEADY)) == 2
    assert not _runs(_steady(tmp_path))


def _steady(here: Path) -> int:
    return int((here / "steady").read_text())


def _runs(pid: int) -> bool:
    return is_alive(pid) and ") Z " not in Path(f"/proc/{pid}/stat").read_text()
