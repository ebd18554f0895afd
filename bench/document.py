"""The common parts of all result files."""

import json
import os
import platform
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.world import World


def services(world: World) -> dict[str, Any]:
    """The versions of broker and database, and the database's settings for durable writes."""
    return {
        "broker": world.api.call("GET", "overview")["rabbitmq_version"],
        "database": world.execute("SHOW server_version")[0][0],
        "fsync": world.execute("SHOW fsync")[0][0],
        "synchronous_commit": world.execute("SHOW synchronous_commit")[0][0],
    }


def load(samples: Iterable[float]) -> dict[str, float]:
    found = list(samples)
    return {"least": min(found, default=0.0), "most": max(found, default=0.0)}


def machine(packages: Iterable[str]) -> dict[str, Any]:
    return {
        "cpus": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
    }


def write(path: Path, document: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
