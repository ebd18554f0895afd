"""The sandbox's world: boxes, numbers, permissions, the ledger."""

import pickle
from typing import Any

import pytest

from sandbox.world.actions import membership, message_changes, reading, sending
from sandbox.world.entities import CHANNEL_MARK, Chat, User
from sandbox.world.notices import BoxChanged, InboxRead, MembershipChanged, OutboxRead, WorldReset
from sandbox.world.world import LedgerEntry, UnknownPeer, World, WorldError


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture
def world() -> World:
    return World(clock=Clock(), seed=7)


@pytest.fixture
def anna(world: World) -> User:
    return world.add_user(first_name="Anna", phone="+7 (900) 111-22-33", username="Anna_A")


@pytest.fixture
def boris(world: World) -> User:
    return world.add_user(first_name="Boris")


@pytest.fixture
def group(world: World, anna: User, boris: User) -> Chat:
    return world.add_chat(kind="group", title="Flat", members=[anna.id, boris.id])


@pytest.fixture
def square(world: World, anna: User, boris: User) -> Chat:
    return world.add_chat(kind="supergroup", title="Square", username="square", members=[anna.id, boris.id])


def test_people_and_chats_are_found_by_name_phone_and_link(world: World, anna: User, square: Chat) -> None:
    assert world.find_username("@anna_a") is anna
    assert world.find_username("SQUARE") is square
    assert world.find_phone("79001112233") is anna
    assert world.find_invite(square.invite_link.rpartition("+")[2]) is square
    assert world.find_username("nobody") is None
    assert world.find_phone("1") is None
    assert world.find_invite("nothing") is None


def test_chat_ids_are_marked_as_telethon_marks_them(group: Chat, square: Chat) -> None:
    assert group.id == -group.bare_id
    assert square.id == -CHANNEL_MARK - square.bare_id
    assert group.bare_id > 2**31


@pytest.mark.parametrize(
    "clash",
    [{"phone": "79001112233"}, {"username": "anna_a"}, {"username": "7up"}, {"username": "a b c d"}, {"user_id": -1}],
)
def test_a_clashing_or_malformed_user_is_refused_whole(world: World, anna: User, clash: dict[str, Any]) -> None:
    with pytest.raises(WorldError):
        world.add_user(first_name="Other", **clash)
    assert list(world.users) == [anna.id]


def test_a_clashing_or_malformed_chat_is_refused_whole(world: World, anna: User) -> None:
    world.add_chat(kind="supergroup", title="One", username="one_chat", invite_hash="aaa")
    clashes: list[dict[str, Any]] = [
        {"username": "ONE_CHAT"},
        {"username": "anna_a"},
        {"invite_hash": "aaa"},
        {"chat_id": -5},
    ]
    for clash in clashes:
        with pytest.raises(WorldError):
            world.add_chat(kind="supergroup", title="Two", **clash)
    with pytest.raises(UnknownPeer):
        world.add_chat(kind="group", title="Two", members=[1])
    assert len(world.chats) == 1


def test_given_ids_are_kept_and_new_ones_avoid_them(world: World) -> None:
    given = world.add_user(first_name="A", user_id=7_000_000_001)
    assert given.id == 7_000_000_001
    assert world.add_user(first_name="B").id == 7_000_000_002
    chat = world.add_chat(kind="group", title="G", chat_id=-4_000_000_001)
    assert world.add_chat(kind="group", title="H").id == chat.id - 1


def test_a_private_message_has_a_number_on_each_side(world: World, anna: User, boris: User) -> None:
    entry = sending.send(world, user_id=anna.id, peer=boris.id, text="Hello")
    assert set(entry.message_ids) == {anna.id, boris.id}
    mine = world.boxes[anna.id].messages[entry.message_ids[anna.id]]
    theirs = world.boxes[boris.id].messages[entry.message_ids[boris.id]]
    assert (mine.peer, theirs.peer) == (boris.id, anna.id)
    assert mine.from_user == theirs.from_user == anna.id
    assert entry.id_for(anna.id) == mine.id


def test_a_note_to_oneself_is_stored_once(world: World, anna: User) -> None:
    entry = sending.send(world, user_id=anna.id, peer=anna.id, text="Milk")
    assert len(world.boxes[anna.id].messages) == 1
    assert list(entry.message_ids) == [anna.id]


def test_a_reply_points_to_everyones_own_number(world: World, anna: User, boris: User, group: Chat) -> None:
    asked = sending.send(world, user_id=anna.id, peer=group.id, text="When?")
    reply = sending.send(world, user_id=boris.id, peer=group.id, text="At six", reply_to=asked.message_ids[boris.id])
    assert reply.reply_to == asked.seq
    for user in (anna, boris):
        message = world.boxes[user.id].messages[reply.message_ids[user.id]]
        assert message.reply_to == asked.message_ids[user.id]


def test_a_later_member_sees_a_reply_without_what_it_replies_to(
    world: World, anna: User, boris: User, group: Chat
) -> None:
    asked = sending.send(world, user_id=anna.id, peer=group.id, text="When?")
    vera = world.add_user(first_name="Vera")
    membership.join(world, vera.id, group.id)
    reply = sending.send(world, user_id=boris.id, peer=group.id, text="At six", reply_to=asked.message_ids[boris.id])
    assert asked.id_for(vera.id) is None
    assert world.boxes[vera.id].messages[reply.message_ids[vera.id]].reply_to is None


def test_a_reply_to_what_the_speaker_cannot_see_is_refused(world: World, anna: User, boris: User, group: Chat) -> None:
    private = sending.send(world, user_id=anna.id, peer=boris.id, text="Psst")
    for unseen in (private.message_ids[boris.id], 99_999):
        with pytest.raises(WorldError, match="REPLY_MESSAGE_ID_INVALID"):
            sending.send(world, user_id=boris.id, peer=group.id, text="What?", reply_to=unseen)
    assert len(world.ledger) == 1


def test_a_supergroup_numbers_for_everybody(world: World, anna: User, square: Chat) -> None:
    first = sending.send(world, user_id=anna.id, peer=square.id, text="One")
    second = sending.send(world, user_id=anna.id, peer=square.id, text="Two")
    assert (first.channel_message_id, second.channel_message_id) == (1, 2)
    assert first.message_ids == {}


def test_a_repeat_is_the_original_even_where_one_may_no_longer_write(
    world: World, anna: User, boris: User, square: Chat
) -> None:
    original = sending.send(world, user_id=anna.id, peer=square.id, text="Once", random_id=5)
    membership.leave(world, anna.id, square.id)
    assert sending.send(world, user_id=anna.id, peer=square.id, text="Changed", random_id=5) is original
    assert (original.text, original.repeats, len(world.ledger)) == ("Once", 1, 1)
    assert sending.send(world, user_id=boris.id, peer=square.id, text="Mine", random_id=5) is not original


def test_a_refused_message_leaves_no_trace(world: World, anna: User, boris: User) -> None:
    received: list[LedgerEntry] = []
    world.subscribe(received.append)
    hidden = world.add_chat(kind="supergroup", title="Hidden")
    pts = world.boxes[anna.id].pts
    membership.block(world, boris.id, anna.id)
    for peer, error in ((hidden.id, "CHANNEL_PRIVATE"), (boris.id, "USER_IS_BLOCKED"), (5, "PEER_ID_INVALID")):
        with pytest.raises(WorldError) as refused:
            sending.send(world, user_id=anna.id, peer=peer, text="Hello", random_id=1)
        assert refused.value.name == error
    assert (world.ledger, received, world.boxes[anna.id].pts) == ([], [], pts)


def test_pts_grows_by_one_a_message_and_by_the_count_of_a_deletion(world: World, anna: User, square: Chat) -> None:
    sent = [sending.send(world, user_id=anna.id, peer=square.id, text=str(n)) for n in range(5)]
    box = world.boxes[square.id]
    assert box.pts == 6
    gone = [sent[1].channel_message_id or 0, sent[3].channel_message_id or 0, 999]
    assert message_changes.delete(world, user_id=anna.id, peer=square.id, message_ids=gone) == (8, 2)
    assert box.history(square.id) == [1, 3, 5]
    assert [event.pts for event in box.since(4)] == [5, 6, 8]
    assert message_changes.delete(world, user_id=anna.id, peer=square.id, message_ids=gone) == (8, 0)


def test_listeners_hear_of_an_entry_when_all_its_numbers_are_known(
    world: World, anna: User, boris: User, group: Chat
) -> None:
    numbers: list[set[int]] = []
    stop = world.subscribe(lambda entry: numbers.append(set(entry.message_ids)))
    sending.send(world, user_id=anna.id, peer=group.id, text="One")
    stop()
    sending.send(world, user_id=anna.id, peer=group.id, text="Two")
    assert numbers == [{anna.id, boris.id}]


def test_reading_moves_forward_only_and_the_author_is_notified(world: World, anna: User, boris: User) -> None:
    seen: list[object] = []
    first = sending.send(world, user_id=anna.id, peer=boris.id, text="One")
    second = sending.send(world, user_id=anna.id, peer=boris.id, text="Two")
    world.watch(seen.append)
    position = reading.read(world, user_id=boris.id, peer=anna.id, max_id=second.message_ids[boris.id])
    assert reading.read(world, user_id=boris.id, peer=anna.id, max_id=first.message_ids[boris.id]) == position
    assert seen == [
        InboxRead(boris.id, anna.id, second.message_ids[boris.id]),
        OutboxRead(anna.id, boris.id, second.message_ids[anna.id]),
    ]


def test_in_a_supergroup_everybody_reads_for_themselves(world: World, anna: User, boris: User, square: Chat) -> None:
    sending.send(world, user_id=anna.id, peer=square.id, text="One")
    reading.read(world, user_id=boris.id, peer=square.id, max_id=0)
    assert reading.read_position(world, boris.id, square.id) == 1
    assert reading.read_position(world, anna.id, square.id) == 0


def test_people_are_known_through_private_messages_and_basic_groups_only(world: World) -> None:
    a, b, c, d = (world.add_user(first_name=name) for name in "ABCD")
    world.add_chat(kind="supergroup", title="S", members=[a.id, b.id, c.id, d.id])
    world.add_chat(kind="group", title="G", members=[a.id, b.id])
    sending.send(world, user_id=a.id, peer=c.id, text="Hello")
    assert [world.knows(a.id, user.id) for user in (a, b, c, d)] == [True, True, True, False]
    assert world.knows(c.id, a.id)


def test_an_access_hash_belongs_to_one_viewer_and_one_target(world: World) -> None:
    hashes = world.hashes
    values = {hashes.of(1, 2, "user"), hashes.of(2, 1, "user"), hashes.of(1, 3, "user"), hashes.of(1, 2, "min")}
    assert len(values) == 4
    assert World(seed=7).hashes.of(1, 2, "user") == hashes.of(1, 2, "user")
    assert World(seed=8).hashes.of(1, 2, "user") != hashes.of(1, 2, "user")


def test_joining_twice_changes_nothing(world: World, anna: User) -> None:
    chat = world.add_chat(kind="supergroup", title="S")
    seen: list[object] = []
    world.watch(seen.append)
    membership.join(world, anna.id, chat.id, announce="joined")
    membership.join(world, anna.id, chat.id, announce="joined")
    assert [type(notice) for notice in seen] == [MembershipChanged, BoxChanged]
    assert world.boxes[chat.id].messages[1].action == "joined"
    assert world.ledger == []


def test_reset_removes_everything_and_notifies(world: World, anna: User, square: Chat) -> None:
    seen: list[object] = []
    world.watch(seen.append)
    sending.send(world, user_id=anna.id, peer=square.id, text="One", random_id=1)
    world.reset()
    assert (world.users, world.chats, world.ledger) == ({}, {}, [])
    assert isinstance(seen[-1], WorldReset)
    assert world.add_user(first_name="Anna", username="anna_a").id == anna.id


def test_a_dumped_world_goes_on_where_it_was(world: World, anna: User, boris: User, group: Chat) -> None:
    entry = sending.send(world, user_id=anna.id, peer=group.id, text="Once", random_id=1)
    fresh = World(clock=world.clock)
    fresh.load(pickle.loads(pickle.dumps(world.dump())))
    again = sending.send(fresh, user_id=anna.id, peer=group.id, text="Once", random_id=1)
    assert (again.seq, again.repeats, again.message_ids) == (1, 1, entry.message_ids)
    assert fresh.find_username("anna_a") == anna
    reply = sending.send(fresh, user_id=boris.id, peer=group.id, text="Yes", reply_to=entry.message_ids[boris.id])
    assert reply.message_ids[anna.id] == entry.message_ids[anna.id] + 1
    assert fresh.hashes.of(anna.id, boris.id, "user") == world.hashes.of(anna.id, boris.id, "user")
