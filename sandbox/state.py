"""Snapshots, so that accounts stay logged in and chats keep their history across restarts."""

import io
import os
import pickle
from pathlib import Path
from typing import Any

from sandbox.mtproto.encryption import authkeys
from sandbox.mtproto.encryption.authkeys import AuthKeys
from sandbox.world import boxes, entities, hashes, marks, registry
from sandbox.world.world import World

FORMAT = 4
# Where the classes of a snapshot are.
_MODULES = (authkeys, boxes, entities, hashes, marks, registry)


class StateUnreadable(Exception):
    """The file is no snapshot of this version of the sandbox."""


class _Unpickler(pickle.Unpickler):
    """Finds the sandbox's classes by their names alone: older snapshots name modules that have moved since."""

    def find_class(self, module: str, name: str) -> Any:
        if not module.startswith("sandbox."):
            return super().find_class(module, name)
        for home in _MODULES:
            if hasattr(home, name):
                return getattr(home, name)
        raise AttributeError(f"a snapshot has no {module}.{name}")


class StateFile:
    """Keeps the world and the authorization keys in one file; only its owner may read it."""

    def __init__(self, path: Path, world: World, keys: AuthKeys) -> None:
        self._path, self._world, self._keys = path, world, keys
        self._saved: tuple[int, int] | None = None

    def load(self) -> bool:
        """False when there is no file yet; raises StateUnreadable for one that makes no sense."""
        if not self._path.exists():
            return False
        try:
            state = _Unpickler(io.BytesIO(self._path.read_bytes())).load()
            if state["format"] != FORMAT:
                raise StateUnreadable(f"{self._path}: format {state['format']}, not {FORMAT}")
            self._world.load(state["world"])
            self._keys.load(state["keys"])
        except (pickle.UnpicklingError, AttributeError, EOFError, KeyError, TypeError) as error:
            raise StateUnreadable(f"{self._path}: {error!r}; remove it to begin anew") from error
        self._saved = self._version
        return True

    def save(self) -> None:
        """Writes a snapshot if anything changed since the last one; the file is whole at every moment."""
        version = self._version
        if version == self._saved:
            return
        data = pickle.dumps({"format": FORMAT, "world": self._world.dump(), "keys": self._keys.dump()})
        fresh = self._path.with_name(f"{self._path.name}.new")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
        fresh.replace(self._path)
        self._saved = version

    @property
    def _version(self) -> tuple[int, int]:
        return self._world.revision, self._keys.revision
