"""Snapshots of the sandbox in a file: accounts stay logged in, and chats keep their history, across restarts."""

import io
import os
import pickle
from pathlib import Path
from typing import Any

from sandbox.mtproto.encryption.authkeys import AuthKeys
from sandbox.world.world import World

FORMAT = 5
# The older format that is still read. Its snapshots may name modules by their former names.
_OLDER = 4
_MOVED = {
    "sandbox.boxes": "sandbox.world.boxes",
    "sandbox.entities": "sandbox.world.entities",
    "sandbox.hashes": "sandbox.world.hashes",
    "sandbox.marks": "sandbox.world.marks",
    "sandbox.mtproto.authkeys": "sandbox.mtproto.encryption.authkeys",
    "sandbox.registry": "sandbox.world.registry",
}


class StateUnreadable(Exception):
    """The file is not a snapshot of this version of the sandbox."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return super().find_class(_MOVED.get(module, module), name)


class StateFile:
    """Stores the world and the authorization keys in one file, which only its owner may read."""

    def __init__(self, path: Path, world: World, keys: AuthKeys) -> None:
        self._path, self._world, self._keys = path, world, keys
        self._saved: tuple[int, int] | None = None

    def load(self) -> bool:
        """Restore the snapshot. Returns False if there is no file yet. Raises StateUnreadable."""
        if not self._path.exists():
            return False
        try:
            state = _Unpickler(io.BytesIO(self._path.read_bytes())).load()
            if state["format"] not in (FORMAT, _OLDER):
                raise StateUnreadable(f"{self._path}: format {state['format']}, not {FORMAT}; remove it to start anew")
            self._world.load(_upgraded(state)["world"])
            self._keys.load(state["keys"])
        except (pickle.UnpicklingError, AttributeError, EOFError, ImportError, KeyError, TypeError) as error:
            raise StateUnreadable(f"{self._path}: {error!r}; remove it to start anew") from error
        self._saved = self._version
        return True

    def save(self) -> None:
        """Write a snapshot if anything has changed since the last one. The file is complete at every moment."""
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


def _upgraded(state: dict[str, Any]) -> dict[str, Any]:
    """The state in the current format."""
    if state["format"] == _OLDER:
        state["world"]["_sent"] = state["world"].pop("_said")
    return state
