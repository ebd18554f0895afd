"""`bin/setup [venv|demo|test]`: everything that a make target needs on a bare machine."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from .console import Unavailable, guarded, say
from .install import apt_install

CLONE = Path(__file__).resolve().parents[2]
VENV = CLONE / ".venv"
PYTHON = VENV / "bin" / "python"
# What each room of work installs; the tests' list includes the product's.
REQUIREMENTS = {"demo": ["requirements.txt"], "test": ["requirements.txt", "requirements-dev.txt"]}
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
COMPOSE = ("docker-compose",)
# A font with Cyrillic, so that the panel's screenshots are readable.
FONTS = (Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"), Path("/usr/share/fonts/TTF/DejaVuSans.ttf"))


def main(arguments: list[str]) -> int:
    """Install for one room of work (default: demo) and return the exit code."""
    room = arguments[0] if arguments else "demo"
    if len(arguments) > 1 or room not in ("venv", *REQUIREMENTS):
        print("usage: bin/setup [venv|demo|test]", file=sys.stderr)
        return 2
    return guarded(lambda: _setup(room))


def _setup(room: str) -> int:
    with _locked():
        if room == "test":
            _test_tools()
        _virtual_environment()
        if room != "venv":
            _packages(room)
    return 0


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    run = CLONE / ".run"
    try:
        run.mkdir(mode=0o711, exist_ok=True)
        with (run / "setup.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
    except PermissionError as problem:
        raise Unavailable(f"{problem.filename} belongs to another user: run this as that user") from None


def _test_tools() -> None:
    """The browser, its font and the compose checker: from apt, for root; else named in one message."""
    missing = []
    if not any(map(shutil.which, CHROMIUM)):
        missing.append("chromium")
    if not any(map(shutil.which, COMPOSE)) and not _has_compose_plugin():
        missing.append("docker-compose")
    if not any(font.exists() for font in FONTS):
        missing.append("fonts-dejavu-core")
    _apt_or_tell(missing, "the tests need")


def _has_compose_plugin() -> bool:
    docker = shutil.which("docker")
    command = [docker or "docker", "compose", "version"]
    return docker is not None and subprocess.run(command, capture_output=True, check=False).returncode == 0


def _apt_or_tell(packages: list[str], why: str) -> None:
    if not packages:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Unavailable(f"{why}: {' '.join(packages)}\n  sudo apt-get install {' '.join(packages)}")
    apt_install(*packages)


def _virtual_environment() -> None:
    if (
        PYTHON.exists()
        and subprocess.run([PYTHON, "-c", "import pip"], capture_output=True, check=False).returncode == 0
    ):
        return
    probe = [sys.executable, "-c", "import ensurepip, venv"]
    if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        _apt_or_tell(["python3-venv"], "a virtual environment needs")
    say("creating .venv")
    subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)


def _packages(room: str) -> None:
    """Install the pinned packages unless that was done already for these very files."""
    if _is_stamped(room):
        return
    say(f"installing the Python packages of {REQUIREMENTS[room][-1]} (a minute or two)")
    command: list[str | Path] = [PYTHON, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["-r", CLONE / REQUIREMENTS[room][-1]]
    if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False).returncode:
        raise Unavailable("pip could not install the packages: see the lines above")
    for covered in REQUIREMENTS:
        if set(REQUIREMENTS[covered]) <= set(REQUIREMENTS[room]):
            _stamp(covered).write_text(_fingerprint(covered))


def _is_stamped(room: str) -> bool:
    try:
        return _stamp(room).read_text() == _fingerprint(room)
    except FileNotFoundError:
        return False


def _stamp(room: str) -> Path:
    return VENV / f".coolthing-{room}"


def _fingerprint(room: str) -> str:
    digest = hashlib.sha256(sys.version.encode())
    for name in REQUIREMENTS[room]:
        digest.update((CLONE / name).read_bytes())
    return digest.hexdigest()
