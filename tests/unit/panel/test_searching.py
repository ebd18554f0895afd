"""What is looked up by an index when it is typed into a list's search box."""

import uuid

import pytest
from django.db.models import Q

from bots.models import Delivery
from messaging.models import DeadLetter
from panelkit.lists.searching import meant_by

FIELDS = ("text", "peer_username", "=peer_id", "bot__key")
EVENT = uuid.UUID("d14ff29c-018d-4aae-97e8-084dc51cba09")


def meant(term: str) -> Q | None:
    return meant_by(term, model=Delivery, fields=FIELDS, name_lookup="upper")


def test_a_number_is_an_id_and_a_name_begins_with_an_at_sign():
    assert meant(" 77 ") == Q(peer_id=77)
    assert meant("-1001") == Q(peer_id=-1001)
    assert meant("@Tea_Lover") == Q(peer_username__upper="TEA_LOVER", peer_username__gt="")


@pytest.mark.parametrize("term", ["", "tea", "tea@example.org", "7 7", "9" * 19, str(EVENT)])
def test_other_words_are_searched_for(term: str):
    assert meant(term) is None


def test_a_uuid_is_looked_up_where_one_can_be():
    found = meant_by(str(EVENT), model=DeadLetter, fields=("body", "=event_id"), name_lookup="lower")
    assert found == Q(event_id=EVENT)
