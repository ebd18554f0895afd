"""`python -m sandbox`: the sandbox in the foreground, until Ctrl-C."""

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from sandbox.scenario import ScenarioError
from sandbox.server import SandboxConfig, serve
from sandbox.state import StateUnreadable

log = logging.getLogger("sandbox")


def config_from(arguments: list[str] | None = None) -> SandboxConfig:
    parser = argparse.ArgumentParser(prog="sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--mtproto-port", type=int, default=0, help="0: a free one")
    parser.add_argument("--http-port", type=int, default=0, help="0: a free one")
    parser.add_argument("--key-dir", type=Path, required=True, help="where the server's RSA key is kept")
    parser.add_argument("--scenario", help="a file, or a name in sandbox/scenarios/")
    parser.add_argument("--speed", type=float, default=1.0, help="how fast the scenario's people are")
    parser.add_argument("--state", type=Path, help="keep the world and the logins in this file")
    return SandboxConfig(**vars(parser.parse_args(arguments)))


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        asyncio.run(serve(config_from()))
    except (ScenarioError, StateUnreadable, OSError) as error:
        log.error("%s", error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
