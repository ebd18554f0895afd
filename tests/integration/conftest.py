"""The worlds that most tests about leads and about deliveries stand in. A file that needs another has its own."""

from collections.abc import Iterator

import pytest

from bots.worker.sending import attempts
from leads.models import Conversation
from tests.integration import ledger
from tests.integration.leads_world import World, make_world
from tests.integration.stage import Stage


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.fixture
def conversation(world: World) -> Conversation:
    """A conversation whose first message was said."""
    return world.conversation()


@pytest.fixture
def origin() -> ledger.NotingOrigin:
    return ledger.noting_origin()


@pytest.fixture
def stage(origin: ledger.NotingOrigin, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A worker process with a sender, whose look-ups in the history do not wait."""
    monkeypatch.setattr(attempts, "LOOKUP_PAUSE", 0.01)
    monkeypatch.setattr(attempts, "REPLY_PAUSE", 0.01)
    stage = Stage()
    yield stage
    stage.close()
