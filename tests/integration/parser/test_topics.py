"""A hit names its forum topic, and a watch may leave out topics."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from bots.chats.topics import topics_store
from bots.models import ForumTopic
from messaging.models import OutboxEvent
from parser.eligibility import TopicsRule, topic_taken
from parser.models import Hit, ReadTally, WatchedChat
from parser.services import messages_match
from tests.integration.leads_world import World, private_message

pytestmark = pytest.mark.django_db
JOBS, SALE = 12, 30


@pytest.fixture
def panel() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("olga"))
    return client


def hear(world: World, topic_id: int | None, text: str = "Where do you buy tea?") -> list[Hit]:
    here = {"peer_id": world.chat.telegram_id, "private": False, "message_id": next(world.ids)}
    message = private_message(**here, text=f"{text} {next(world.ids)}", topic_id=topic_id)
    return messages_match(messages={world.parser.id: [message]})


def test_a_hit_and_its_event_name_the_topic(world: World, panel: Client):
    peer_id = world.chat.telegram_id
    assert peer_id is not None
    topics_store(peer_id=peer_id, titles={JOBS: "Jobs", SALE: "Sale"})
    topics_store(peer_id=peer_id, titles={JOBS: "Work"})
    assert set(ForumTopic.objects.values_list("topic_id", "title")) == {(JOBS, "Work"), (SALE, "Sale")}
    [hit] = hear(world, JOBS)
    body = json.loads(OutboxEvent.objects.get().body)
    assert (hit.topic_id, body["topic_id"], body["topic"]) == (JOBS, JOBS, "Work")
    assert "Work (12)" in panel.get(f"/admin/parser/hit/{hit.pk}/change/").content.decode()
    watched = WatchedChat.objects.get()
    assert "Work (12)" in panel.get(f"/admin/parser/watchedchat/{watched.pk}/change/").content.decode()
    [hit] = hear(world, None)
    assert hit.topic_id is None


@pytest.mark.parametrize(
    ("rule", "heard"),
    [("all", [JOBS, SALE, None]), ("only", [JOBS, None]), ("except", [SALE])],
)
def test_a_watch_reads_the_topics_of_its_rule(world: World, rule: str, heard: list[int | None]):
    WatchedChat.objects.update(topics_rule=rule, topics=[JOBS, 1])
    found = [hit.topic_id for topic_id in (JOBS, SALE, None) for hit in hear(world, topic_id)]
    assert found == heard
    counts: dict[str, Any] = dict(ReadTally.objects.values_list("outcome", "number"))
    assert counts.get("topic", 0) == 3 - len(heard) and counts["compared"] == len(heard)


def test_the_topic_general_has_the_id_1():
    assert topic_taken(TopicsRule.ONLY, [1], None) and not topic_taken(TopicsRule.EXCEPT, [1], None)
