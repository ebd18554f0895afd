"""Two transactions that want the same letters, or the same cursors, never wait for each other in a circle.

In each test the first one is stopped at a row that both want; the second one begins; then both go on. PostgreSQL would
end one of them with "deadlock detected".
"""

import json
import uuid
from functools import partial

import pytest

from bots.logins.sessions import bot_connect
from bots.models import Bot, Cursor, Role
from bots.worker.cursors import Reader, chats_forget, cursor_follow, cursors_of
from messaging.broker import topology
from messaging.consuming.subscriptions import handle_batch
from messaging.dead_letters.services import dead_letters_replay
from messaging.messages import body_digest
from messaging.models import DeadLetter
from telegram.types import Me
from tests.integration.leads_world import role_handler
from tests.integration.ledger import make_bot
from tests.integration.letters import archive, death
from tests.integration.locks import row_locked, working

pytestmark = pytest.mark.django_db(transaction=True)


def test_dead_letters_die_again_while_they_are_replayed():
    bodies = sorted((json.dumps({"id": str(uuid.uuid4())}).encode() for _ in range(2)), key=body_digest, reverse=True)
    for body in bodies:
        archive(body)
    [early, late] = DeadLetter.objects.order_by("pk")
    assert early.body_digest > late.body_digest
    died = death(count=2)
    batch = [(topology.LEADS_DLX, "leads.failed", body, died, None) for body in bodies]
    failed: list[set[int]] = []
    with working() as begin, row_locked(early):
        begin(partial(dead_letters_replay, letter_ids=[early.pk, late.pk], by="ann"))
        begin(lambda: failed.append(handle_batch(topology.DEAD_LETTER_ARCHIVE_QUEUE, batch)))
    assert failed == [set()]
    assert list(DeadLetter.objects.values_list("count", "state")) == [(2, "open"), (2, "open")]


def test_a_group_is_followed_while_its_bot_logs_in_again():
    reader, former, upgraded = reading()
    me = Me(Bot.objects.get().telegram_user_id or 0, "", "")
    with working() as begin, row_locked(former):
        begin(partial(bot_connect, bot_id=reader.bot_id, session="a session", me=me))
        begin(partial(cursor_follow, reader=reader, former=former.peer_id, peer_id=upgraded.peer_id))
    assert cursors_of(reader.bot_id) == {upgraded.peer_id: 7}


def test_a_group_is_followed_while_its_chats_are_forgotten():
    reader, former, upgraded = reading()
    with working() as begin, row_locked(former):
        begin(partial(chats_forget, bot_id=reader.bot_id))
        begin(partial(cursor_follow, reader=reader, former=former.peer_id, peer_id=upgraded.peer_id))
    assert cursors_of(reader.bot_id) == {upgraded.peer_id: 0}


def reading() -> tuple[Reader, Cursor, Cursor]:
    """A bot that reads a group and the supergroup that it has become."""
    bot = make_bot(role=Role.PARSER)
    former, upgraded = (Cursor.objects.create(bot=bot, peer_id=peer, last_message_id=7) for peer in (-5, -1005))
    return Reader(bot.id, bot.lease_epoch, role_handler("parser")), former, upgraded
