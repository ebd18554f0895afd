"""Fixtures of the Telegram tests."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from bots.logins.login_worker import LoginWorker
from sandbox.server import Sandbox, SandboxConfig
from tests.telegram.accounts import Accounts, point_at
from tests.telegram.bots_support import Company, Listener, company_with
from tests.telegram.logins.login_support import login_worker_runs
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


@pytest.fixture
async def accounts(settings: Any, town: Town) -> AsyncIterator[Accounts]:
    """Our adapter's accounts in the town."""
    point_at(settings, town.sandbox)
    accounts = Accounts()
    yield accounts
    await accounts.close()


@pytest.fixture
def company(key_dir: Path, settings: Any, transactional_db: None) -> Iterator[Company]:
    """Bots that read every chat that they are in. A file that needs another company has a fixture of its own."""
    with company_with(Listener(), key_dir, settings) as company:
        yield company


@pytest.fixture
def login_worker(company: Company) -> Iterator[LoginWorker]:
    with login_worker_runs() as worker:
        yield worker
