from uuid import uuid4

from bots.worker.sending.recheck_timer import LOOK_AGAIN, MOST_A_SECOND, RecheckTimer


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_waiting_delivery_is_not_due_until_it_is_checked_again():
    clock, delivery = Clock(), uuid4()
    timer = RecheckTimer(clock)
    timer.start(uuid4(), [delivery])
    assert timer.not_due() == [delivery]
    clock.now += LOOK_AGAIN
    assert timer.not_due() == []


def test_the_deliveries_of_one_bot_can_be_made_due_at_once():
    timer, bot, mine, other = RecheckTimer(Clock()), uuid4(), uuid4(), uuid4()
    timer.start(bot, [mine])
    timer.start(uuid4(), [other])
    assert bot in timer.bots()
    timer.due_now(bot)
    assert timer.not_due() == [other]
    assert bot not in timer.bots()
    timer.due_now_all()
    assert timer.not_due() == []


def test_thousands_are_checked_less_often():
    clock = Clock()
    timer, bot = RecheckTimer(clock), uuid4()
    for _ in range(10):
        timer.start(bot, [uuid4() for _ in range(MOST_A_SECOND)])
    clock.now += LOOK_AGAIN
    assert len(timer.not_due()) == 8 * MOST_A_SECOND
