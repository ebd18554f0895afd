"""`python -m sandbox`: the sandbox in the foreground, until Ctrl-C."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from sandbox.scenario import ScenarioError
from sandbox.server import SandboxConfig, serve
from sandbox.state import StateUnreadable

log = logging.getLogger("sandbox")


def add_arguments(parser: argparse.ArgumentParser, *, mtproto_port: int, http_port: int, key_dir: Path) -> None:
    """Add the sandbox's options, which have the names of SandboxConfig's fields, with these defaults."""
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--mtproto-port", type=int, default=mtproto_port, help="0: a free port")
    parser.add_argument("--http-port", type=int, default=http_port, help="0: a free port")
    parser.add_argument("--key-dir", type=Path, default=key_dir, help="the directory of the server's RSA key")
    parser.add_argument("--scenario", help="a file, or a name in sandbox/scenarios/")
    parser.add_argument("--speed", type=float, default=1.0, help="2: the scenario's people are twice as fast")
    parser.add_argument("--state", type=Path, help="store the world and the logins in this file")


def config_from(options: Mapping[str, Any]) -> SandboxConfig:
    """The configuration from parsed options. Options that are not the sandbox's are ignored."""
    return SandboxConfig(
        **{field.name: options[field.name] for field in fields(SandboxConfig) if field.name in options}
    )


def run(config: SandboxConfig) -> int:
    """Run until SIGINT or SIGTERM. Returns the exit code, 2 if the sandbox cannot start."""
    try:
        asyncio.run(serve(config))
    except (ScenarioError, StateUnreadable, OSError) as error:
        log.error("%s", error)
        return 2
    return 0


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    parser = argparse.ArgumentParser(prog="sandbox", description=__doc__)
    add_arguments(parser, mtproto_port=0, http_port=0, key_dir=Path("sandbox-keys"))
    return run(config_from(vars(parser.parse_args())))


if __name__ == "__main__":
    sys.exit(main())
