"""Planned faults: whom they hit and how they are used up."""

import pytest
from pydantic import ValidationError

from sandbox.world.faults import Fault, FaultBook


def test_a_fault_without_a_method_hits_the_sending_of_messages() -> None:
    book = FaultBook()
    book.plan(Fault(kind="FLOOD_WAIT", seconds=7))
    assert book.take(method="updates.getState", user=1, chat=None) is None
    hit = book.take(method="messages.sendMessage", user=1, chat=-5)
    assert hit
    assert hit.error_name == "FLOOD_WAIT_7"
    assert book.take(method="messages.sendMessage", user=1, chat=-5) is None


def test_account_wide_faults_hit_any_method() -> None:
    book = FaultBook()
    book.plan(Fault(kind="USER_DEACTIVATED_BAN", user=1))
    assert book.take(method="updates.getState", user=2, chat=None) is None
    hit = book.take(method="updates.getState", user=1, chat=None)
    assert hit
    assert hit.error_name == "USER_DEACTIVATED_BAN"


def test_every_given_field_has_to_match() -> None:
    fault = Fault(kind="FLOOD_WAIT", user=1, chat=-5, method="messages.SENDMESSAGE")
    assert fault.concerns(method="messages.sendMessage", user=1, chat=-5)
    assert not fault.concerns(method="messages.sendMessage", user=1, chat=-6)
    assert not fault.concerns(method="messages.sendMessage", user=2, chat=-5)
    assert not fault.concerns(method="messages.getHistory", user=1, chat=-5)
    assert Fault(kind="FLOOD_WAIT", method="*").concerns(method="anything", user=None, chat=None)


def test_times_counts_down_and_none_lasts() -> None:
    book = FaultBook()
    book.plan(Fault(kind="PEER_FLOOD", times=2))
    hits = [book.take(method="messages.sendMessage", user=1, chat=None) for _ in range(3)]
    assert [hit is not None for hit in hits] == [True, True, False]
    book.plan(Fault(kind="PEER_FLOOD", times=None))
    assert all(book.take(method="messages.sendMessage", user=1, chat=None) for _ in range(5))
    book.clear()
    assert book.as_json() == []


def test_a_fault_that_loses_the_answer_is_taken_apart_from_earlier_faults() -> None:
    book = FaultBook()
    book.plan(Fault(kind="DROP_ANSWER"))
    assert book.take(method="messages.sendMessage", user=1, chat=None) is None
    assert book.take(method="messages.sendMessage", user=1, chat=None, stage="after")


@pytest.mark.parametrize(
    "bad", [{"kind": "NOISE"}, {"kind": "FLOOD_WAIT", "seconds": -1}, {"kind": "FLOOD_WAIT", "times": 0}, {"x": 1}]
)
def test_nonsense_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Fault.model_validate(bad)
