from uuid import uuid4

from bots.worker.sending.recheck_timer import LOOK_AGAIN, MOST_A_SECOND, WaitingRoom


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_seated_delivery_sleeps_until_it_is_looked_at_again():
    clock, delivery = Clock(), uuid4()
    room = WaitingRoom(clock)
    room.seat(uuid4(), [delivery])
    assert room.asleep() == [delivery]
    clock.now += LOOK_AGAIN
    assert room.asleep() == []


def test_waking_a_bot_wakes_its_deliveries_only():
    room, bot, mine, other = WaitingRoom(Clock()), uuid4(), uuid4(), uuid4()
    room.seat(bot, [mine])
    room.seat(uuid4(), [other])
    assert bot in room.bots()
    room.wake(bot)
    assert room.asleep() == [other]
    assert bot not in room.bots()
    room.wake_all()
    assert room.asleep() == []


def test_thousands_are_looked_at_more_rarely():
    clock = Clock()
    room, bot = WaitingRoom(clock), uuid4()
    for _ in range(10):
        room.seat(bot, [uuid4() for _ in range(MOST_A_SECOND)])
    clock.now += LOOK_AGAIN
    assert len(room.asleep()) == 8 * MOST_A_SECOND
