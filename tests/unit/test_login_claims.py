"""Who works on a login, when the database does not answer."""

import asyncio
import threading
import time
import uuid

import pytest

from bots.login_claims import LOOK_SECONDS, Claim


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
