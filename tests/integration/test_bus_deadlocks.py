"""Two transactions that want the same letters, or the same cursors, never wait for each other in a circle.

In each test the first one is stopped at a row that both want; the second one begins; then both go on. PostgreSQL would
end one of them with "deadlock detected".
"""

import json
import uuid
from functools import partial

import pytest

from messaging import topology
from messaging.dead_letters import dead_letters_replay
from messaging.models import DeadLetter
from messaging.subscriptions import body_digest, handle_batch
from tests.integration.letters import archive, death
from tests.integration.locks import row_locked, working

pytestmark = pytest.mark.django_db(transaction=True)


def test_letters_die_again_while_they_are_replayed():
    bodies = sorted((json.dumps({"id": str(uuid.uuid4())}).encode() for _ in range(2)), key=body_digest, reverse=True)
    for body in bodies:
        archive(body)
    [early, late] = DeadLetter.objects.order_by("pk")
    assert early.body_digest > late.body_digest
    died = death(count=2)
    parcels = [(topology.LEADS_DLX, "leads.failed", body, died, None) for body in bodies]
    failed: list[set[int]] = []
    with working() as begin, row_locked(early):
        begin(partial(dead_letters_replay, letter_ids=[early.pk, late.pk], by="ann"))
        begin(lambda: failed.append(handle_batch(topology.DEAD_LETTER_ARCHIVE_QUEUE, parcels)))
    assert failed == [set()]
    assert list(DeadLetter.objects.values_list("count", "state")) == [(2, "open"), (2, "open")]
