"""The order in which an account joins the chats of several campaigns."""

from uuid import UUID

from parser.watching.joining import in_turn

A, B = UUID(int=1), UUID(int=2)
CHATS = [UUID(int=number) for number in range(10, 20)]


def test_the_campaigns_take_turns_however_many_chats_one_has():
    waiting = {chat: [A] for chat in CHATS[:8]} | {CHATS[8]: [B], CHATS[9]: [B]}
    assert list(in_turn(waiting, []))[:5] == [CHATS[0], CHATS[8], CHATS[1], CHATS[9], CHATS[2]]
    assert list(in_turn(waiting, [A, A]))[:3] == [CHATS[8], CHATS[9], CHATS[0]]


def test_a_chat_of_two_campaigns_is_joined_once_and_counts_for_both():
    waiting = {CHATS[0]: [A, B], CHATS[1]: [A], CHATS[2]: [B]}
    assert list(in_turn(waiting, [])) == [CHATS[0], CHATS[1], CHATS[2]]
