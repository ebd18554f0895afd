"""Fixtures of the Telegram tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.server import Sandbox, SandboxConfig
from tests.telegram.sandbox_support import Town


@pytest.fixture(scope="session")
def key_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Making an RSA key takes a while: one for all."""
    return tmp_path_factory.mktemp("sandbox-key")


@pytest.fixture
async def town(key_dir: Path) -> AsyncIterator[Town]:
    async with Sandbox(SandboxConfig(key_dir=key_dir)) as sandbox:
        town = Town(sandbox)
        yield town
        await town.close()
