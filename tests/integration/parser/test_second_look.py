"""The second look: rules hold hits back in the transaction that records them, and operators decide."""

import json
from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from campaigns.models import Chat
from campaigns.services import campaign_pause
from leads.models import Lead
from messaging.broker import topology
from messaging.consuming.subscriptions import handle
from messaging.models import OutboxEvent
from panelkit.errors import NotPossible
from parser.models import Hit, HitLook, SecondLook, WatchedChat
from parser.second_look.decisions import look_pass, look_reject
from parser.second_look.senders import senders_of
from parser.services import message_match
from telegram.types import Author, IncomingMessage
from tests.integration import ledger
from tests.integration.leads_world import permit
from tests.integration.locks import at_once

pytestmark = pytest.mark.django_db

ADVERT = (
    "Лучший чай (tea) оптом со склада в Москве: пуэр, улун, зелёный, доставка по всей стране, прайс в личные сообщения"
)
NUMBERS = count(5000)


@pytest.fixture
def message(world):
    return IncomingMessage(
        peer_id=world.chat.telegram_id,
        message_id=77,
        from_user_id=501,
        from_username="Tea_Lover",
        from_name="Somebody",
        text="Where do you buy TEA?",
        sent_at=timezone.now(),
        outgoing=False,
        reply_to_message_id=None,
        private=False,
        author=Author("person"),
    )


def settings_of(world, **values):
    return SecondLook.objects.create(campaign=world.campaign, **{"enabled": True, **values})


def hear(world, message, **changes):
    """The look at the hit of this message; None if its campaign has no second look. Each is another person's."""
    number = next(NUMBERS)
    changes = {"message_id": number, "from_user_id": number, **changes}
    [hit] = message_match(bot_id=world.parser.id, message=replace(message, **changes))
    return HitLook.objects.filter(hit=hit).first()


def reported():
    return OutboxEvent.objects.filter(exchange=topology.LEADS_EXCHANGE).count()


def watched(world, number):
    """More chats that the campaign watches."""
    chats = [
        Chat.objects.create(key=f"more{n}", reference=f"@more_chat{n}", telegram_id=-1009000 - n) for n in range(number)
    ]
    for chat in chats:
        permit(chat, "parse")
        WatchedChat.objects.create(campaign=world.campaign, chat=chat, bot=world.parser)
    return chats


def test_without_a_second_look_nothing_is_kept_and_the_hit_is_reported(world, message):
    assert hear(world, message) is None and reported() == 1
    settings_of(world, enabled=False)
    assert hear(world, message) is None and reported() == 2


@pytest.mark.parametrize(
    ("settings", "changes", "rule"),
    [
        ({"least_words": 6}, {}, "too_short"),
        ({"least_words": 5}, {}, ""),
        ({"most_characters": 20}, {}, "too_long"),
        ({"most_characters": 0, "least_words": 0}, {"text": "tea " * 900}, ""),
        ({"most_links": 1}, {"text": "tea at https://a.example and b.ru today"}, "links"),
        ({"most_links": None}, {"text": "tea at https://a.example and b.ru today"}, ""),
        ({"blocked_senders": ["501"]}, {"from_user_id": 501}, "sender"),
        ({"blocked_senders": ["@tea_lover"]}, {}, "sender"),
        ({"blocked_senders": ["@tea", "5011"]}, {"from_username": ""}, ""),
    ],
)
def test_a_rule_rejects_or_the_hit_is_reported_at_once(world, message, settings, changes, rule):
    settings_of(world, **settings)
    look = hear(world, message, **changes)
    assert (look.rule, look.judge) == (rule, "rules") and look.decided_at
    assert (look.state, reported()) == (("rejected", 0) if rule else ("passed", 1))
    assert bool(look.reason) == bool(rule)


@pytest.mark.parametrize("text", [ADVERT, "Продам чай tea недорого"])
def test_the_same_advertisement_in_many_chats_is_rejected(world, message, text):
    settings_of(world, advert_chats=3)
    first, second = watched(world, 2)
    assert hear(world, message, text=text).state == "passed"
    # However often it is repeated in one chat.
    assert hear(world, message, text=text).state == "passed"
    assert hear(world, message, text=f"❗️ {text.upper()}", peer_id=first.telegram_id).state == "passed"
    look = hear(world, message, text=f"{text} 🔥", peer_id=second.telegram_id)
    assert (look.state, look.rule) == ("rejected", "advert") and "3 chats" in look.reason
    assert hear(world, message, peer_id=second.telegram_id).state == "passed"


def test_messages_that_a_person_repeats_in_other_chats_count(world, message):
    settings_of(world, advert_chats=3)
    chats = watched(world, 2)
    assert hear(world, message, text=ADVERT, from_user_id=501).state == "passed"
    assert (
        message_match(bot_id=world.parser.id, message=replace(message, text=ADVERT, peer_id=chats[0].telegram_id)) == []
    )
    assert hear(world, message, text=ADVERT, peer_id=chats[1].telegram_id).rule == "advert"


def test_advertisements_are_recognised_across_campaigns_and_with_small_changes(world, message):
    settings_of(world, advert_chats=2)
    other = ledger.make_campaign()
    [chat] = watched(world, 1)
    hear(world, message, text=ADVERT)
    WatchedChat.objects.filter(chat=chat).update(campaign=other)
    SecondLook.objects.create(campaign=other, enabled=True, advert_chats=2)
    other.keywords.create(text="tea")
    look = hear(world, message, text=ADVERT.replace("Москве", "Казани"), peer_id=chat.telegram_id)
    assert (look.campaign, look.rule) == (other, "advert")


def test_after_a_week_a_text_is_new_again(world, message):
    settings_of(world, advert_chats=2)
    [chat] = watched(world, 1)
    for text in (ADVERT, "Продам чай tea недорого"):
        old = hear(world, message, text=text)
        HitLook.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=7, minutes=1))
        assert hear(world, message, text=text, peer_id=chat.telegram_id).state == "passed"


def test_other_texts_on_the_topic_in_many_chats_are_no_advertisement(world, message):
    settings_of(world, advert_chats=2)
    texts = (
        "Кто знает, где в городе купить хороший китайский чай tea на вес, желательно с дегустацией и недорого",
        "Посоветуйте магазин, где купить хороший зелёный чай tea в подарок начальнику, бюджет до трёх тысяч рублей",
        "Ищу поставщика: нужен хороший чай tea для кофейни, пять килограммов в месяц, с доставкой и документами",
    )
    for text, chat in zip(texts, (world.chat, *watched(world, 2)), strict=True):
        assert hear(world, message, text=text, peer_id=chat.telegram_id).state == "passed"


def test_what_matches_no_keyword_leaves_no_fingerprint(world, message):
    settings_of(world)
    assert message_match(bot_id=world.parser.id, message=replace(message, text=ADVERT.replace("tea", "чай"))) == []
    assert not HitLook.objects.exists()


def test_a_hit_is_looked_at_once(world, message):
    settings_of(world)
    hear(world, message, message_id=77)
    assert message_match(bot_id=world.parser.id, message=message) == []
    assert (HitLook.objects.count(), reported()) == (1, 1)


def test_an_operator_lets_a_rejected_hit_through_and_its_event_is_the_hits(world, message):
    settings_of(world, least_words=9)
    look = hear(world, message)
    for _ in range(2):
        passed = look_pass(hit_id=look.pk, by="olga")
    assert (passed.state, passed.judge, passed.operator, passed.rule) == ("passed", "operator", "olga", "too_short")
    event = OutboxEvent.objects.get(exchange=topology.LEADS_EXCHANGE)
    body = json.loads(event.body)
    hit = Hit.objects.get()
    assert (event.event_id, body["message"], body["chat_id"], body["telegram_user_id"]) == (
        hit.id,
        hit.text,
        world.chat.telegram_id,
        hit.telegram_user_id,
    )
    handle(topology.LEADS_QUEUE, event.exchange, event.routing_key, event.body.encode(), {})
    assert Lead.objects.get().event_id == hit.id
    with pytest.raises(NotPossible, match="Passed"):
        look_reject(hit_id=look.pk, by="olga")


def test_two_operators_report_a_hit_once(world, message):
    settings_of(world, least_words=9)
    look = hear(world, message)
    look_reject(hit_id=look.pk, by="olga")  # It is rejected already.
    assert HitLook.objects.get().judge == "rules"


@pytest.mark.django_db(transaction=True)
def test_operators_at_once_report_a_hit_once(world, message):
    settings_of(world, least_words=9)
    look = hear(world, message)
    at_once(*[lambda: look_pass(hit_id=look.pk, by="olga")] * 4)
    assert reported() == 1


def test_a_hit_without_a_second_look_cannot_be_decided(world, message):
    hear(world, message)
    for decide in (look_pass, look_reject):
        with pytest.raises(NotPossible, match="no second look"):
            decide(hit_id=Hit.objects.get().pk, by="olga")


def test_blocked_senders_are_stored_in_one_form():
    assert senders_of([" @Maria_B", "maria_b", "0501", "", "@durov"]) == ["@maria_b", "501", "@durov"]
    for wrong in ("-100123", "@a", "two words", "https://t.me/x"):
        with pytest.raises(ValueError, match=wrong):
            senders_of([wrong])


def test_the_database_refuses_a_decision_without_a_judge(world, message):
    from django.db import IntegrityError

    settings_of(world)
    look = hear(world, message)
    with pytest.raises(IntegrityError), connection.cursor() as cursor:
        cursor.execute("UPDATE parser_hitlook SET judge = '' WHERE hit_id = %s", [look.pk])


class TestThePanel:
    def rights(self, *names):
        user = User.objects.create_user("vera", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        return user

    def test_the_page_of_a_hit_shows_the_verdict_and_decides(self, world, message, client):
        settings_of(world, least_words=9)
        look = hear(world, message)
        page = reverse("admin:parser_hit_change", args=[look.pk])
        client.force_login(self.rights("view_hit", "view_hitlook"))
        assert "Let through" not in client.get(page).content.decode()
        decide = reverse("admin:parser_hit_operate", args=[look.pk, "let_through"])
        assert client.post(decide).status_code == 403
        User.objects.get().user_permissions.add(Permission.objects.get(codename="change_hitlook"))
        shown = client.get(page).content.decode()
        assert "Let through" in shown and "Rejected" in shown
        assert "Rules: Too short · The message has 5 words, fewer than 9." in shown
        assert client.post(decide).status_code == 302
        assert HitLook.objects.get().state == "passed" and reported() == 1

    @pytest.mark.parametrize("model", ["hit", "hitlook"])
    def test_hits_are_decided_in_lists(self, world, message, admin_client, model):
        settings_of(world, least_words=9)
        looks = [hear(world, message), hear(world, message)]
        listed = reverse(f"admin:parser_{model}_changelist")
        chosen = {"action": "do_let_through", "_selected_action": [str(look.pk) for look in looks]}
        assert "contacts this person" in admin_client.post(listed, chosen).content.decode()
        admin_client.post(listed, {**chosen, "_confirmed": "1"})
        assert reported() == 2

    def test_the_lists_are_filtered_by_the_verdict(self, world, message, admin_client):
        settings_of(world, least_words=5)
        hear(world, message)
        hear(world, message, text="tea please")
        for query, number in (
            ("hit_changelist", {"look": "rejected"}),
            ("hitlook_changelist", {"rule__exact": "too_short"}),
        ):
            found = admin_client.get(reverse(f"admin:parser_{query}"), number)
            [row] = found.context["cl"].result_list
            assert row.pk == Hit.objects.get(text="tea please").pk

    def test_the_campaigns_page_has_the_settings_and_the_counts(self, world, message, admin_client):
        settings_of(world, least_words=9, use_llm=True, instructions="They <b>want</b> tea.")
        hear(world, message)
        page = reverse("admin:campaigns_campaign_change", args=[world.campaign.pk])
        shown = admin_client.get(f"{page}?section=second_look").content.decode()
        assert "They &lt;b&gt;want" in shown and "Too short" in shown and "of 200000 tokens today" in shown

    @pytest.mark.parametrize(
        ("values", "problem"),
        [
            ({"blocked_senders": "@maria_b, 12 34"}, "neither a Telegram id nor a @username"),
            ({"use_llm": "on"}, "Describe what a good lead is"),
            ({"least_score": "101"}, "less than or equal to 100"),
        ],
    )
    def test_wrong_settings_are_refused(self, world, admin_client, values, problem):
        form = {
            "campaign": str(world.campaign.pk), "enabled": "on", "least_words": "3", "most_characters": "0",
            "advert_chats": "4", "least_score": "60", "daily_tokens": "1000",
        }  # fmt: skip
        answer = admin_client.post(reverse("admin:parser_secondlook_add"), {**form, **values})
        assert problem in answer.content.decode() and not SecondLook.objects.exists()

    def test_settings_are_saved_in_one_form(self, world, admin_client):
        form = {
            "campaign": str(world.campaign.pk), "enabled": "on", "least_words": "3", "most_characters": "0",
            "advert_chats": "4", "least_score": "60", "daily_tokens": "1000", "blocked_senders": "@Maria_B,0501",
        }  # fmt: skip
        assert admin_client.post(reverse("admin:parser_secondlook_add"), form).status_code == 302
        assert SecondLook.objects.get().blocked_senders == ["@maria_b", "501"]


def test_a_paused_campaign_keeps_its_decisions(world, message):
    """What an operator lets through is reported; the gate holds back its message."""
    settings_of(world, least_words=9)
    look = hear(world, message)
    campaign_pause(campaign_id=world.campaign.id)
    look_pass(hit_id=look.pk, by="olga")
    assert reported() == 1
