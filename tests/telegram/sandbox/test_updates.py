"""Catching up: whatever happened while a client was away reaches it once."""

import pytest
from telethon import TelegramClient, functions, types
from telethon.sessions import MemorySession

from sandbox.world.actions import sending
from tests.telegram.sandbox_support import Inbox, Town, input_chat, send, until


class KeepingSession(MemorySession):
    """Telethon's memory session, which keeps the update state, as a session in a database would."""

    def __init__(self) -> None:
        super().__init__()
        self.states: dict[int, types.updates.State] = {}

    def set_update_state(self, entity_id, state):
        self.states[entity_id] = state

    def get_update_states(self):
        return self.states.items()


def _keeping_client(town: Town, session: KeepingSession) -> TelegramClient:
    client = TelegramClient(
        session, 1, "hash", catch_up=True, sequential_updates=True, flood_sleep_threshold=0, retry_delay=0.05
    )
    town.clients.append(client)
    return client


async def _anna_who_knows_every_chat(town: Town, session: KeepingSession) -> TelegramClient:
    session.set_dc(2, town.sandbox.host, town.sandbox.mtproto_port)
    client = _keeping_client(town, session)
    await client.connect()
    await town.sign_in(client, town.anna)
    await client.get_dialogs()
    return client


def _everywhere(town: Town, text: str) -> list[str]:
    """Boris says it in private, in the group and in the supergroup."""
    texts = []
    for peer in (town.anna.id, town.group.id, town.square.id):
        entry = sending.send(town.world, user_id=town.boris.id, peer=peer, text=f"{text} {peer}")
        texts.append(entry.text)
    return texts


async def test_what_was_missed_while_disconnected_arrives_once(town: Town) -> None:
    session = KeepingSession()
    client = await _anna_who_knows_every_chat(town, session)
    before = Inbox(client)
    heard_live = _everywhere(town, "before")
    assert sorted(await before.wait_for(3)) == sorted(heard_live)
    await client.disconnect()

    missed = _everywhere(town, "first") + _everywhere(town, "second")
    client = _keeping_client(town, session)
    inbox = Inbox(client)
    await client.connect()
    assert sorted(await inbox.wait_for(6)) == sorted(missed)

    live = _everywhere(town, "live")
    assert sorted((await inbox.wait_for(9))[6:]) == sorted(live)
    assert len(inbox.texts) == 9


async def test_a_long_absence_is_caught_up_in_slices(town: Town) -> None:
    session = KeepingSession()
    client = await _anna_who_knows_every_chat(town, session)
    before = Inbox(client)
    _everywhere(town, "before")
    await before.wait_for(3)
    await client.disconnect()

    missed = [text for number in range(230) for text in _everywhere(town, str(number))]
    client = _keeping_client(town, session)
    inbox = Inbox(client)
    await client.connect()
    assert sorted(await inbox.wait_for(len(missed))) == sorted(missed)
    assert len(inbox.texts) == len(missed)


async def test_a_gap_after_a_dropped_connection_is_filled_by_the_next_message(town: Town) -> None:
    """Telethon asks for no difference when it reconnects by itself: pts has to tell it that it missed something."""
    client = await town.login(town.anna, catch_up=True)
    inbox = Inbox(client)
    await client.get_dialogs()
    _everywhere(town, "before")
    await inbox.wait_for(3)
    (connection,) = town.sandbox.mtproto.connections
    connection.drop()
    _everywhere(town, "missed")
    await until(lambda: any(c.can_push for c in town.sandbox.mtproto.connections), "a reconnect")
    _everywhere(town, "after")
    assert len(await inbox.wait_for(9)) == 9
    assert len(set(inbox.texts)) == 9


async def test_own_messages_leave_no_gap(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await town.login(town.anna)
    inbox = Inbox(client)
    differences = _count_differences(town, monkeypatch)
    for number in range(5):
        await send(client, types.InputPeerChat(town.group.bare_id), f"a{number}", random_id=number + 1)
        await send(client, await input_chat(client, town.square), f"b{number}", random_id=number + 100)
        _everywhere(town, str(number))
    await inbox.wait_for(15)
    assert client._message_box.possible_gaps == {}
    assert differences == []
    assert len(inbox.texts) == 15


async def test_clients_are_notified_of_deleted_messages_without_a_gap(town: Town) -> None:
    anna, boris = await town.login(town.anna), await town.login(town.boris)
    inbox = Inbox(boris)
    received: list[object] = []

    async def collect(update: object) -> None:
        received.append(update)

    boris.add_event_handler(collect)
    square = await input_chat(anna, town.square)
    message_id = await send(anna, square, "Oops", random_id=1)
    await anna(functions.channels.DeleteMessagesRequest(square, [message_id]))
    deleted = await until(lambda: [u for u in received if isinstance(u, types.UpdateDeleteChannelMessages)])
    assert deleted[0].messages == [message_id]
    await send(anna, square, "Better", random_id=2)
    assert await inbox.wait_for(2) == ["Oops", "Better"]
    assert [entry.text for entry in town.world.ledger] == ["Oops", "Better"]


async def test_a_client_that_wants_no_updates_gets_none(town: Town) -> None:
    client = await town.login(town.anna, receive_updates=False)
    inbox = Inbox(client)
    _everywhere(town, "unheard")
    assert (await client.get_me()).id == town.anna.id
    assert inbox.texts == []


def _count_differences(town: Town, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The differences asked for from now on."""
    asked: list[str] = []
    dispatcher = town.sandbox.mtproto.dispatcher
    handled = dispatcher._handled

    def spy(call, request):
        if "ifference" in call.method:
            asked.append(call.method)
        return handled(call, request)

    monkeypatch.setattr(dispatcher, "_handled", spy)
    return asked
