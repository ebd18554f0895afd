from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import DEFAULT_DB_ALIAS, connections
from django.test import Client

from bots.models import Bot
from sandbox.server import Sandbox, SandboxConfig
from tests.browser.login_pages import PASSWORD, PHONE
from tests.browser.panel import Chromium, Panel
from tests.browser.world import build_world
from tests.telegram.accounts import point_at
from tests.telegram.logins.login_support import login_worker_runs

# A test opens up to thirty pages, and twenty programs may share its core.
TEST_SECONDS = 900
# The product gives up connecting to its database after 5 s, and the page answers 503. A busy machine may take longer.
CONNECT_SECONDS = 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    browser = Chromium()
    yield browser
    browser.close()


@pytest.fixture(scope="module", autouse=True)
def _patience_with_the_database(django_db_setup: None) -> Iterator[None]:
    """For the threads of the web server, which connect anew for each request."""
    options = connections.settings[DEFAULT_DB_ALIAS]["OPTIONS"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(options, "connect_timeout", CONNECT_SECONDS)
        yield


@pytest.fixture
def world(transactional_db: None) -> SimpleNamespace:
    return build_world()


@pytest.fixture
def window(chromium: Chromium, live_server: Any) -> Iterator[Panel]:
    """A window of a user who is not logged in."""
    with chromium.window(live_server.url) as panel:
        yield panel


@pytest.fixture
def panel(window: Panel, world: SimpleNamespace) -> Iterator[Panel]:
    """A window of the operator, who may do everything; the browser must find nothing to complain about."""
    client = Client()
    client.force_login(world.operator)
    window.use_session(client.cookies["sessionid"].value)
    yield window
    assert not window.problems


@pytest.fixture(scope="session")
def key_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sandbox-key")


@pytest.fixture
def telegram(key_dir: Path, settings: Any) -> Iterator[SimpleNamespace]:
    """A Telegram where Gleb has a password and Vera has none, and a worker that logs accounts in."""
    with Sandbox(SandboxConfig(key_dir=key_dir)) as sandbox, login_worker_runs():
        point_at(settings, sandbox)
        add = sandbox.world.add_user
        gleb = sandbox.call(add, first_name="Gleb", phone=PHONE, username="gleb", password=PASSWORD)
        vera = sandbox.call(add, first_name="Vera", phone="+9996633333", username="vera")
        yield SimpleNamespace(sandbox=sandbox, gleb=gleb, vera=vera, mtproto=sandbox.mtproto)


@pytest.fixture
def bot(world: SimpleNamespace) -> Bot:
    """A bot that was never logged in; its number is not known."""
    return Bot.objects.create(key="new", display_name="New one", role="actor")
