"""`bin/setup [venv|demo|test|bench]`: everything that a make target needs on a bare machine."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from ctypes.util import find_library
from pathlib import Path

from .console import Unavailable, guarded, say
from .environment import load_overrides
from .install import apt_install_idle, rabbitmq_bin

CLONE = Path(__file__).resolve().parents[2]
VENV = CLONE / ".venv"
PYTHON = VENV / "bin" / "python"
# What each room of work installs; the tests' list includes the product's.
REQUIREMENTS = {
    "demo": ["requirements.txt"],
    "test": ["requirements.txt", "requirements-dev.txt"],
    "bench": ["requirements.txt", "requirements-bench.txt"],
}
# The languages whose word tables are built ahead (none named: all); others are built when a keyword needs them.
WORD_TABLES = {"demo": ["en"], "test": [], "bench": []}
# Dictionaries of spelling by which the tests measure how well keywords find the forms of words.
HUNSPELL = Path("/usr/share/hunspell")
DICTIONARIES = {"ru_RU": "ru", "uk_UA": "uk", "de_DE": "de-de", "es_ES": "es", "fr": "fr", "pl_PL": "pl"}
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
PROMETHEUS = ("prometheus", "promtool")
# A font with Cyrillic, so that the panel's screenshots are readable.
FONTS = (Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"), Path("/usr/share/fonts/TTF/DejaVuSans.ttf"))


def main(arguments: list[str]) -> int:
    """Install for one room of work (default: demo) and return the exit code."""
    room = arguments[0] if arguments else "demo"
    if len(arguments) > 1 or room not in ("venv", *REQUIREMENTS):
        print("usage: bin/setup [venv|demo|test|bench]", file=sys.stderr)
        return 2
    return guarded(lambda: _setup(room))


def _setup(room: str) -> int:
    with _locked():
        _system_packages(room)
        _virtual_environment()
        if room != "venv":
            _packages(room)
            _word_tables(room)
    return 0


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    run = CLONE / ".run"
    try:
        run.mkdir(mode=0o711, exist_ok=True)
        # WhiteNoise complains about a folder that is missing; `collectstatic` fills it where DEBUG is off.
        (run / "static").mkdir(exist_ok=True)
        with (run / "setup.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
    except PermissionError as problem:
        raise Unavailable(f"{problem.filename} belongs to another user: run this as that user") from None


def _system_packages(room: str) -> None:
    """Debian's packages: installed for root; for others all that is missing is named in one message."""
    missing = [] if _has_venv() or _can_make_venv() else ["python3-venv"]
    if room == "test":
        missing += _missing_test_tools()
    may_install = os.geteuid() == 0 and shutil.which("apt-get") is not None
    if may_install:
        # RabbitMQ is left to bin/services, which keeps its package from starting a node.
        if missing:
            apt_install_idle(*missing)
        return
    if room != "venv" and rabbitmq_bin() is None and not load_overrides(CLONE).rabbitmq:
        missing.append("rabbitmq-server")
    if missing:
        raise Unavailable(
            f"missing here, and installing takes root and apt: {' '.join(missing)}. Either\n"
            f"  sudo apt-get install {' '.join(missing)}    (then run this again; or set RABBITMQ_URL), or\n"
            "  docker compose up    (everything in containers; see .env.example)"
        )


def _missing_test_tools() -> list[str]:
    """The browser, its font, the compose checker, what scrapes the metrics, and dictionaries of spelling."""
    missing = []
    if not any(map(shutil.which, CHROMIUM)):
        missing.append("chromium")
    if find_library("atomic") is None:
        # Playwright's own Node.js is linked with it.
        missing.append("libatomic1")
    if shutil.which("docker-compose") is None and not _has_compose_plugin():
        missing.append("docker-compose")
    if not any(font.exists() for font in FONTS):
        missing.append("fonts-dejavu-core")
    if not all(map(shutil.which, PROMETHEUS)):
        missing.append("prometheus")
    named = DICTIONARIES.items()
    return missing + [f"hunspell-{name}" for file, name in named if not (HUNSPELL / f"{file}.dic").exists()]


def _has_compose_plugin() -> bool:
    docker = shutil.which("docker")
    return docker is not None and _succeeds(docker, "compose", "version")


def _has_venv() -> bool:
    return PYTHON.exists() and _succeeds(PYTHON, "-c", "import pip")


def _can_make_venv() -> bool:
    # Debian keeps ensurepip in a package of its own.
    return _succeeds(sys.executable, "-c", "import ensurepip, venv")


def _succeeds(*command: str | Path) -> bool:
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0


def _virtual_environment() -> None:
    if not _has_venv():
        say("creating .venv")
        subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)


def _packages(room: str) -> None:
    """Install the pinned packages unless that was done already for these very files."""
    if _is_stamped(room):
        return
    say(f"installing the Python packages of {REQUIREMENTS[room][-1]} (a minute or two)")
    command: list[str | Path] = [PYTHON, "-m", "pip", "install", "-qq", "--no-input", "--disable-pip-version-check"]
    command += ["-r", CLONE / REQUIREMENTS[room][-1]]
    if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False).returncode:
        raise Unavailable("pip could not install the packages: see the lines above")
    for covered in REQUIREMENTS:
        if set(REQUIREMENTS[covered]) <= set(REQUIREMENTS[room]):
            _stamp(covered).write_text(_fingerprint(covered))


def _word_tables(room: str) -> None:
    """Without them, the first keyword in a language would wait until its table is built."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command: list[str | Path] = [PYTHON, "-m", "texts.words", *WORD_TABLES[room]]
    if subprocess.run(command, cwd=CLONE, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr).returncode:
        raise Unavailable("the word tables could not be built: see the lines above")


def _is_stamped(room: str) -> bool:
    try:
        return _stamp(room).read_text() == _fingerprint(room)
    except FileNotFoundError:
        return False


def _stamp(room: str) -> Path:
    return VENV / f".coolthing-{room}"


def _fingerprint(room: str) -> str:
    digest = hashlib.sha256()
    for name in REQUIREMENTS[room]:
        digest.update((CLONE / name).read_bytes())
    return digest.hexdigest()
