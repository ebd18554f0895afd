"""The registry of the rooms' parts of a person's data."""

import pytest

from privacy import registry
from privacy.registry import PersonalData


class Part(PersonalData):
    def __init__(self, name: str) -> None:
        self.name = name


def test_rooms_come_in_the_order_of_their_turns_whatever_order_they_register_in(monkeypatch):
    monkeypatch.setattr(registry, "_rooms", {})
    for turn, name in ((2, "second"), (1, "first"), (3, "third")):
        registry.register(turn, Part(name))
    again = Part("first")
    registry.register(1, again)
    assert [room.name for room in registry.rooms()] == ["first", "second", "third"]
    assert registry.rooms()[0] is again


def test_two_rooms_with_the_same_turn_are_refused(monkeypatch):
    monkeypatch.setattr(registry, "_rooms", {})
    registry.register(1, Part("first"))
    with pytest.raises(ValueError, match="first and other both have the turn 1"):
        registry.register(1, Part("other"))
    assert [room.name for room in registry.rooms()] == ["first"]
