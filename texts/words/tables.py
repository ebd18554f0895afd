"""The word tables: which words of a language are forms of the same word.

A table is a folder of files that are mapped into memory, so that only what is looked up becomes resident:

- `forms.trie`: all folded forms; marisa-trie gives each a number.
- `groups.bin`: for each form the number of its group (the forms with one lemma). If the highest bit is set, the rest
  is an index into `several.bin`, where the number of the form's groups stands before the groups.
- `starts.bin`: for each group, and after the last one, where its members begin in `members.bin` (numbers of forms).
- `endings.json`: how words inflect that are not in the table (`texts.words.endings`).

All numbers are unsigned 32-bit integers in the machine's byte order. Tables are built from simplemma's dictionaries
(`texts.words.building`) by `bin/setup`, by the Dockerfile, or when a language is needed for the first time.
"""

import fcntl
import json
import logging
import mmap
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import marisa_trie

from texts.words.endings import Endings
from texts.words.languages import LANGUAGES, TableUnavailable

ROOT = Path(__file__).resolve().parents[2]
# Where the tables stand; a folder of the clone unless the environment variable names another one.
FOLDER_VARIABLE = "WORDS_DIR"
DEFAULT_FOLDER = ROOT / ".run" / "words"
# Raise it when the format or the way in which a table is built changes.
FORMAT = 3
SEVERAL = 1 << 31

logger = logging.getLogger(__name__)


class Table:
    """The table of one language. Thread-safe: it is only read."""

    def __init__(self, folder: Path) -> None:
        self._trie = marisa_trie.Trie()
        self._trie.mmap(str(folder / "forms.trie"))
        self._groups = _mapped(folder / "groups.bin")
        self._several = _mapped(folder / "several.bin")
        self._starts = _mapped(folder / "starts.bin")
        self._members = _mapped(folder / "members.bin")
        self.endings = Endings(json.loads((folder / "endings.json").read_text("utf-8")))

    def knows(self, word: str) -> bool:
        return word in self._trie

    def forms(self, word: str) -> frozenset[str]:
        """The forms that share a lemma with the folded word; none if the table does not contain it."""
        number = self._trie.get(word)
        if number is None:
            return frozenset()
        return frozenset(form for group in self._groups_of(number) for form in self._members_of(group))

    def _groups_of(self, number: int) -> list[int]:
        entry = self._groups[number]
        if not entry & SEVERAL:
            return [entry]
        at = entry - SEVERAL
        return self._several[at + 1 : at + 1 + self._several[at]].tolist()

    def _members_of(self, group: int) -> Iterator[str]:
        members = self._members[self._starts[group] : self._starts[group + 1]]
        return map(self._trie.restore_key, members)


def _mapped(path: Path) -> memoryview:
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)).cast("I")


_tables: dict[str, Table] = {}
_loading = threading.Lock()


def table(code: str) -> Table:
    """The table of a language, loaded (and built, which takes seconds) at the first need.

    Raises `TableUnavailable`.
    """
    known = _tables.get(code)
    if known is None:
        with _loading:
            known = _tables.get(code) or _opened(ensure(code))
            _tables[code] = known
    return known


def _opened(target: Path) -> Table:
    try:
        return Table(target)
    except (OSError, ValueError, RuntimeError, KeyError) as problem:
        reason = f"The word table in {target} is damaged ({problem}): delete this folder, it is built again"
        raise TableUnavailable(reason) from problem


def folder() -> Path:
    """The folder of all tables of the installed version of simplemma."""
    base = Path(os.environ.get(FOLDER_VARIABLE) or DEFAULT_FOLDER)
    return base / f"simplemma-{version('simplemma')}-{FORMAT}"


def ensure(code: str) -> Path:
    """The folder of a language's table, which is built if it is missing. Raises `TableUnavailable`.

    The table is built in a process of its own, because building takes up to 350 MB. Several processes may call this at
    the same time: one builds, the others wait.
    """
    target = folder() / code
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _only_one(target.parent / f"{code}.lock"):
            if not target.is_dir():
                _build(code, target)
    except (OSError, subprocess.SubprocessError) as problem:
        raise TableUnavailable(_advice(code, problem)) from problem
    return target


def _build(code: str, target: Path) -> None:
    logger.warning("building the word table of %s, which takes some seconds", LANGUAGES[code].name)
    command = [sys.executable, "-m", "texts.words.building", code, str(target)]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise subprocess.SubprocessError(reason)


def _advice(code: str, problem: Exception) -> str:
    return (
        f"The word table of {LANGUAGES[code].name} could not be built: {problem}. Without it, keywords in this "
        f"language cannot be used. Run `python -m texts.words {code}` as a user who may write to {folder()}, "
        f"or set {FOLDER_VARIABLE} to a folder in which the processes may write."
    )


@contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
