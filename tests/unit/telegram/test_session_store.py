"""The session as text, and the settings of a connection."""

import pytest
from telethon.crypto import AuthKey
from telethon.tl import types

from telegram.connection import session_store
from telegram.connection.session_store import StoredSession, UnreadableSession
from telegram.types import is_supergroup


def user(user_id: int, **values) -> types.User:
    return types.User(id=user_id, access_hash=user_id * 10, first_name="Name", phone="79990000000", **values)


def met(session: StoredSession, *people: types.User) -> None:
    session.process_entities(types.contacts.ResolvedPeer(None, list(people), []))


def filled() -> StoredSession:
    session = StoredSession()
    session.set_dc(2, "127.0.0.1", 443)
    session.auth_key = AuthKey(b"k" * 256)
    met(session, user(5, username="Anna"))
    return session


def test_the_text_brings_back_key_place_and_access_hashes():
    again = StoredSession(filled().dumps())
    assert (again.dc_id, again.server_address, again.port) == (2, "127.0.0.1", 443)
    assert again.auth_key is not None and again.auth_key.key == b"k" * 256
    assert again.get_input_entity(5) == types.InputPeerUser(5, 50)
    assert again.username_of(5) == "anna"
    assert not again.dirty


def test_neither_phones_nor_names_are_kept():
    text = filled().dumps()
    assert "79990000000" not in text
    assert "Name" not in text


def test_a_username_is_never_answered_from_memory():
    with pytest.raises(ValueError):
        filled().get_input_entity("anna")


def test_people_met_long_ago_are_forgotten_and_chats_are_not(monkeypatch):
    monkeypatch.setattr(session_store, "MAX_USERS", 3)
    session = StoredSession()
    chat = types.Channel(
        id=7, title="t", photo=types.ChatPhotoEmpty(), date=None, access_hash=70, username="t", megagroup=True
    )
    session.process_entities(types.contacts.ResolvedPeer(None, [], [chat]))
    for number in range(1, 20):
        met(session, user(number))
    assert session.get_input_entity(types.PeerChannel(7)).access_hash == 70
    assert session.get_input_entity(19) == types.InputPeerUser(19, 190)
    with pytest.raises(ValueError):
        session.get_input_entity(1)


def test_only_what_is_new_makes_it_dirty():
    session = StoredSession(filled().dumps())
    met(session, user(5, username="Anna"))
    assert not session.dirty
    met(session, user(5, username="Anna2"))
    assert session.dirty


@pytest.mark.parametrize("text", ["{", "[]", '{"dc": [1, 2, 3]}', '{"dc": []}'])
def test_a_damaged_text_is_named_as_such(text):
    with pytest.raises(UnreadableSession):
        StoredSession(text)


def test_supergroups_are_distinguished_from_basic_groups_by_their_id():
    assert is_supergroup(-1001234567890)
    assert not is_supergroup(-1001)
    assert not is_supergroup(1001234567890)
