"""The name under which this process reports spans: its name in the Procfile."""

import sys
from pathlib import Path

_name = Path(sys.argv[0]).stem


def process_name() -> str:
    """The process's name: `relay`, for example, or the first part of a worker's node name."""
    return _name


def name_process(name: str) -> None:
    global _name
    _name = name
