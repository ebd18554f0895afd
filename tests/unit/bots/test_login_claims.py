"""Who works on a login, when the database does not answer."""

import asyncio
import threading
import time
import uuid

import pytest

from bots.logins.claims import LOOK_SECONDS, Claim
from bots.worker.executor import in_lease_thread


def test_a_login_that_hangs_delays_no_lease_of_a_bot(monkeypatch: pytest.MonkeyPatch) -> None:
    hangs, answers, answered = threading.Event(), threading.Event(), list[bool]()

    def renew(_claim: Claim) -> bool:
        hangs.set()
        answered.append(answers.wait(60))
        return False

    async def lease_renewed_meanwhile() -> bool:
        login = asyncio.ensure_future(claim.until_lost())
        await asyncio.to_thread(hangs.wait, 60)
        renewed = not await in_lease_thread(answered.copy)
        login.cancel()
        return renewed

    monkeypatch.setattr(Claim, "renew", renew)
    claim = Claim(uuid.uuid4(), uuid.uuid4(), deadline=time.monotonic() + 600)
    assert asyncio.run(lease_renewed_meanwhile())
    answers.set()


def test_a_claim_that_a_hanging_database_does_not_renew_is_lost_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    answers, answered = threading.Event(), list[bool]()

    def hangs(_claim: Claim) -> bool:
        answered.append(answers.wait(60))
        return False

    monkeypatch.setattr(Claim, "renew", hangs)
    claim = Claim(uuid.uuid4(), uuid.uuid4(), deadline=time.monotonic() + LOOK_SECONDS)
    asyncio.run(claim.until_lost())
    assert not answered
    answers.set()
