"""The world that most tests about leads stand in. A file that needs another one has a fixture of its own."""

import pytest

from leads.models import Conversation
from tests.integration.leads_world import World, make_world


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.fixture
def talk(world: World) -> Conversation:
    """A conversation whose first message was said."""
    return world.talk()
