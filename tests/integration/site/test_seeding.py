"""`manage.py seed_campaigns`: what it makes, that a second run changes nothing, what it removes and leaves."""

import copy
import io

import pytest
import yaml
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone

from bots.gate.row_locks import execute, locking
from bots.models import Bot, BotSession
from campaigns.models import Budget, Campaign, Chat, ChatPermission
from campaigns.permissions.services import permission_grant, permissions_suspend
from campaigns.permissions.validity import is_permitted
from leads.models import CampaignManager
from notifier.models import Channel, Rule
from parser.models import GoldenText, Keyword, KeywordVersion, MatchingSettings, SecondLook, WatchedChat
from scripts import services
from scripts.models import Assignment, Casting, Line, Script, Slot, Target
from tests.integration.locks import in_thread, somebody_waits_for_a_lock
from tests.support import ROOT, wait_until

pytestmark = pytest.mark.django_db

DEMO = ROOT / "docs" / "examples" / "demo.yaml"
GOOD = yaml.safe_load(DEMO.read_text(encoding="utf-8"))
CHANNEL = {"name": "team", "kind": "file", "address": "team.jsonl", "events": ["*.crash", "#"]}
COUNTED = (Bot, Chat, ChatPermission, Budget, Campaign, Keyword, MatchingSettings, GoldenText, WatchedChat,
           CampaignManager, Script, Slot, Line, Assignment, Casting, Target, Channel, Rule)  # fmt: skip


@pytest.fixture
def seed(tmp_path):
    """Seed this data; what the command prints."""

    def run(data: dict, *options: str) -> str:
        file, out = tmp_path / "seed.yaml", io.StringIO()
        file.write_text(yaml.safe_dump(data, allow_unicode=True))
        call_command("seed_campaigns", str(file), *options, stdout=out)
        return out.getvalue()

    return run


@pytest.fixture
def data() -> dict:
    """One campaign of the demo, with less to write."""
    small = copy.deepcopy(GOOD) | {"notifier": {"channels": [copy.deepcopy(CHANNEL)]}}
    del small["campaigns"][1:]
    small["campaigns"][0]["keywords"] = {"plus": ["ielts", "репетитор"], "minus": ["job"]}
    return small


def total() -> int:
    return sum(model.objects.count() for model in COUNTED)


def rows() -> dict[str, list]:
    return {model.__name__: list(model.objects.order_by("pk").values()) for model in COUNTED}


def test_another_account_for_a_watched_chat_ends_a_move_of_the_chat(seed, data):
    seed(data)
    spare = {"key": "spare", "phone": "+9996629999", "role": "parser"}
    data["bots"].append(spare)
    seed(data)
    WatchedChat.objects.update(next_bot=Bot.objects.get(key="spare"), handover_at=timezone.now())
    assert "0 updated" in seed(data) and not WatchedChat.objects.filter(next_bot=None).exists()
    data["campaigns"][0]["watches"][0]["bot"] = "spare"
    seed(data)
    moved = WatchedChat.objects.filter(bot__key="spare", next_bot=None, handover_at=None, read_since__isnull=False)
    assert moved.count() == WatchedChat.objects.count() > 0


def test_everything_of_the_demo_is_made(seed):
    data = copy.deepcopy(GOOD)
    out = seed(data)
    campaigns, script = data["campaigns"], data["campaigns"][0]["scripts"][0]
    assert f"{total()} created, 0 updated, 0 removed, 0 kept, 0 unchanged" in out
    assert Bot.objects.count() == len(data["bots"]) and Chat.objects.count() == len(data["chats"])
    assert ChatPermission.objects.count() == sum(len(chat["permissions"]) for chat in data["chats"])
    kinds = [campaign["keywords"].get(kind, []) for campaign in campaigns for kind in ("plus", "minus")]
    words = [word for kind in kinds for word in kind]
    assert Keyword.objects.count() == len(words) and Line.objects.count() == len(script["lines"])
    campaign = Campaign.objects.get(slug="english-school")
    assert (campaign.state, campaign.locale, campaign.time_zone) == ("running", "ru", "Europe/Istanbul")
    assert Bot.objects.get(key="anna").phone == "+9996620001"
    attempt = Line.objects.get(key="attempt")
    assert (
        attempt.reply_to == Line.objects.get(key="grammar") and attempt.slot.name == "student" and attempt.position == 7
    )
    assignment = Assignment.objects.get()
    assert dict(assignment.cast.values_list("slot__name", "bot__key")) == {
        "host": "anna", "teacher": "boris", "student": "clara",
    }  # fmt: skip


def log_in_all() -> None:
    BotSession.objects.bulk_create(BotSession(bot=bot, data="session") for bot in Bot.objects.all())


def test_what_was_seeded_can_be_activated_and_prepared(seed, data):
    seed(data)
    log_in_all()
    out = io.StringIO()
    call_command("activate_script", campaign="english-school", script="ten-minutes", stdout=out)
    assignment = Assignment.objects.get()
    assert out.getvalue().split() == [str(assignment.pk), "active"]
    services.assignment_prepare(assignment_id=str(assignment.pk))
    assignment.refresh_from_db()
    assert assignment.state == "playing" and assignment.plays.count() == 4


def test_a_second_run_changes_nothing_and_says_so(seed, data):
    seed(data)
    before = rows()
    out = seed(data)
    assert rows() == before
    assert f"0 created, 0 updated, 0 removed, 0 kept, {total()} unchanged" in out and "nothing to change" in out


def test_a_dry_run_tells_the_same_and_changes_nothing(seed, data):
    out = seed(data, "--dry-run")
    assert not Campaign.objects.exists() and not Bot.objects.exists()
    assert "created   campaign english-school" in out and "nothing was changed" in out
    assert seed(data).splitlines()[:-1] == out.splitlines()[:-2]


def test_changes_are_told_by_name_and_field(seed, data):
    seed(data)
    data["campaigns"][0]["name"] = "New name"
    data["campaigns"][0]["scripts"][0]["lines"][0]["text"] = "Hello"
    out = seed(data)
    assert "updated   campaign english-school (name)" in out
    assert "updated   line ten-minutes: hello (text)" in out
    assert "0 created, 2 updated, 0 removed" in out


def test_what_a_part_no_longer_lists_is_removed(seed, data):
    seed(data)
    campaign, script = data["campaigns"][0], data["campaigns"][0]["scripts"][0]
    campaign["keywords"]["plus"].remove("ielts")
    campaign["managers"] = ["mira"]
    campaign["watches"][0]["chats"].remove("remote")
    script["lines"] = [line for line in script["lines"] if line["key"] not in ("grammar", "attempt", "almost", "fixed")]
    script["targets"] = ["expats"]
    data["notifier"]["channels"][0]["events"] = ["#"]
    out = seed(data)
    assert "removed   line ten-minutes: attempt" in out and "removed   keyword english-school: ielts" in out
    assert list(Line.objects.values_list("key", "position")) == [
        ("hello", 1), ("rules", 2), ("ready", 3), ("question", 4), ("answer", 5), ("bye", 6),
    ]  # fmt: skip
    assert Target.objects.count() == 1 and CampaignManager.objects.count() == 1 and Rule.objects.count() == 1
    assert "nothing to change" in seed(data)


def test_lines_can_change_places(seed, data):
    seed(data)
    ids = dict(Line.objects.values_list("key", "pk"))
    lines = data["campaigns"][0]["scripts"][0]["lines"]
    lines[0], lines[1] = lines[1], lines[0]
    seed(data)
    assert dict(Line.objects.values_list("key", "pk")) == ids
    assert list(Line.objects.values_list("key", flat=True))[:2] == ["rules", "hello"]


def test_a_part_that_nobody_plays_any_more_is_removed(seed, data):
    seed(data)
    script = data["campaigns"][0]["scripts"][0]
    script["slots"].remove("student")
    del script["cast"]["student"]
    for line in script["lines"]:
        line["slot"] = line["slot"].replace("student", "host")
    assert "removed   slot ten-minutes: student" in seed(data)
    assert Slot.objects.count() == 2 and Casting.objects.count() == 2


def test_what_plays_keeps_its_cast_targets_and_snapshot(seed, data):
    seed(data)
    log_in_all()
    assignment = Assignment.objects.get()
    services.assignment_activate(assignment_id=assignment.pk)
    services.assignment_prepare(assignment_id=str(assignment.pk))
    before = Assignment.objects.values().get()
    script = data["campaigns"][0]["scripts"][0]
    script["lines"][0]["text"] = "Edited"
    script["targets"] = ["expats"]
    script["cast"]["host"] = "boris"
    out = seed(data)
    assert (
        "kept      assignment english-school: ten-minutes (it is playing, so cast and targets are not changed)" in out
    )
    assert Assignment.objects.values().get() == before
    assert Target.objects.count() == 4 and assignment.cast.get(slot__name="host").bot.key == "anna"
    data["campaigns"][0]["scripts"] = []
    assert "but it was activated" in seed(data)
    assert Assignment.objects.values().get() == before


def test_a_draft_that_the_file_no_longer_has_is_removed(seed, data):
    seed(data)
    data["campaigns"][0]["scripts"] = []
    assert "removed   assignment english-school: ten-minutes" in seed(data)
    assert not Assignment.objects.exists() and Script.objects.exists()


def test_whether_a_campaign_runs_is_not_for_a_seed_to_change(seed, data):
    seed(data)
    Campaign.objects.update(state="paused")
    assert "nothing to change" in seed(data)
    assert set(Campaign.objects.values_list("state", flat=True)) == {"paused"}


def test_a_permission_that_the_file_no_longer_has_is_revoked_and_stays_on_record(seed, data):
    seed(data)
    del data["chats"][0]["permissions"][2]
    assert "removed   chat permission expats: first_contact (revoked now)" in seed(data)
    assert ChatPermission.objects.get(chat__key="expats", purpose="first_contact").revoked_at
    assert "nothing to change" in seed(data)


@pytest.mark.django_db(transaction=True)
def test_a_permission_is_revoked_behind_the_fence_of_its_chat(seed, data):
    """Whoever claims a message for the chat holds its row: the seed waits, as every revocation does."""
    seed(data)
    chat = next(chat for chat in data["chats"] if chat["key"] == "expats")
    chat["permissions"] = [given for given in chat["permissions"] if given["purpose"] != "first_contact"]
    given = ChatPermission.objects.get(chat__key="expats", purpose="first_contact")
    with transaction.atomic():
        execute(locking(Chat, [given.chat_id], "FOR SHARE"))
        seeding = in_thread(lambda: seed(data))
        wait_until(somebody_waits_for_a_lock, what="the seed waiting for the claim")
    seeding.join(60)
    given.refresh_from_db()
    assert given.revoked_at is not None


def test_a_revoked_permission_is_not_given_again_by_an_old_file(seed, data):
    seed(data)
    ChatPermission.objects.filter(chat__key="expats", purpose="parse").update(revoked_at=timezone.now())
    out = seed(data)
    assert "kept      chat permission expats: parse (revoked on" in out
    assert not ChatPermission.objects.filter(chat__key="expats", purpose="parse", revoked_at__isnull=True).exists()
    data["chats"][0]["permissions"][1]["granted_at"] = "2099-01-01T00:00:00Z"
    assert "created   chat permission expats: parse" in seed(data)


def test_what_the_file_leaves_out_of_a_permission_stays_and_null_lifts_its_end(seed, data):
    given = data["chats"][0]["permissions"][0]
    given |= {"valid_until": "2031-01-01T00:00:00Z", "members_told": "The pin says so."}
    seed(data)
    on_record = ChatPermission.objects.filter(chat__key="expats", purpose="script")
    on_record.update(expiry_told=14)
    del given["valid_until"], given["members_told"]
    assert "nothing to change" in seed(data)
    given["valid_until"] = "2032-01-01T00:00:00Z"
    assert "updated   chat permission expats: script (valid_until)" in seed(data)
    assert on_record.get().expiry_told is None and on_record.get().members_told == "The pin says so."
    given["valid_until"] = None
    seed(data)
    assert on_record.get().valid_until is None


def test_an_older_file_does_not_rewrite_a_newer_permission(seed, data):
    seed(data)
    chat = Chat.objects.get(key="expats")
    permission_grant(chat_id=chat.id, purpose=ChatPermission.Grant.SCRIPT, granted_by="Olga", evidence="a call")
    assert "kept      chat permission expats: script (a newer permission of" in seed(data)
    assert chat.permissions.get(purpose="script", revoked_at=None).granted_by == "Olga"


def test_a_permission_given_anew_ends_the_old_one_and_a_seed_never_resumes_by_itself(seed, data):
    seed(data)
    chat = Chat.objects.get(key="expats")
    permissions_suspend(chat_id=chat.id, reason="removed")
    assert "nothing to change" in seed(data)
    assert not is_permitted(chat_id=chat.id, purpose=ChatPermission.Grant.SCRIPT)
    data["chats"][0]["permissions"][0]["granted_at"] = "2026-11-20T00:00:00Z"
    assert "updated   chat permission expats: script (granted again)" in seed(data)
    assert is_permitted(chat_id=chat.id, purpose=ChatPermission.Grant.SCRIPT)
    assert chat.permissions.filter(purpose="script").count() == 2


def test_an_account_is_not_swapped_under_a_session(seed, data):
    seed(data)
    BotSession.objects.create(bot=Bot.objects.get(key="anna"), data="session")
    before = rows()
    data["bots"][0]["phone"] = "+9996620099"
    with pytest.raises(CommandError, match=r'bots\[0\]\.phone: bot "anna" is logged in with another phone number'):
        seed(data)
    assert rows() == before


def test_what_another_file_named_differently_is_refused(seed, data):
    seed(data)
    data["chats"][0]["key"] = "expats2"
    text = yaml.safe_dump(data).replace("- expats\n", "- expats2\n")
    with pytest.raises(
        CommandError, match=r'chats\[0\]\.telegram: chat "expats" already has the reference @riverside_expats'
    ):
        seed(yaml.safe_load(text))


def test_a_bad_file_changes_nothing(seed, data):
    data["campaigns"][0]["time_zone"] = "Nowhere"
    with pytest.raises(CommandError, match=r'seed\.yaml: campaigns\[0\]\.time_zone: no time zone is called "Nowhere"'):
        seed(data)
    assert not Bot.objects.exists()


def test_another_reference_is_another_way_to_the_same_chat(seed, data):
    seed(data)
    Chat.objects.filter(key="expats").update(telegram_id=-1001, kind="supergroup", reference_leads_to=-1002)
    assert "nothing to change" in seed(data)
    data["chats"][0]["telegram"] = "@another_chat"
    assert "updated   chat expats (reference)" in seed(data)
    expats = Chat.objects.get(key="expats")
    assert (expats.telegram_id, expats.kind, expats.reference_leads_to) == (-1001, "supergroup", None)
    assert expats.reference == "@another_chat" and expats.reference_changed_at is not None
    assert not is_permitted(chat_id=expats.pk, purpose=ChatPermission.Grant.PARSE)


def test_the_number_of_another_chat_is_no_reference_of_this_one(seed, data):
    seed(data)
    Chat.objects.filter(key="expats").update(telegram_id=-1001, kind="supergroup")
    data["chats"][0]["telegram"] = -1002
    with pytest.raises(CommandError, match=r"chats\[0\]\.telegram: -1002 is the id of another chat.*a new chat"):
        seed(data)
    data["chats"][0]["telegram"] = -1001
    assert "updated   chat expats (reference)" in seed(data)
    assert Chat.objects.get(key="expats").reference_changed_at is None


def test_a_budget_may_name_one_object(seed, data):
    data["budgets"] = [{"scope": "bot", "key": "anna", "limit": 5, "window_seconds": 60}]
    seed(data)
    assert Budget.objects.get().key == str(Bot.objects.get(key="anna").pk)
    data["budgets"][0]["limit"] = 6
    assert "updated   budget bot anna in 60 s (limit)" in seed(data)


def test_activating_what_is_not_there_or_not_ready_is_told_in_words(seed, data):
    data["campaigns"][0]["state"] = "draft"
    seed(data)
    with pytest.raises(CommandError, match='script "x" is not assigned to campaign "english-school"'):
        call_command("activate_script", campaign="english-school", script="x")
    with pytest.raises(CommandError, match=r"campaign “.+” is draft, not running"):
        call_command("activate_script", campaign="english-school", script="ten-minutes")


def test_golden_texts_follow_the_file_and_those_of_operators_stay(seed, data):
    data["campaigns"][0]["golden"] = {"wanted": ["IELTS tutor?", "репетитор нужен"], "unwanted": ["a job"]}
    seed(data)
    campaign = Campaign.objects.get()
    GoldenText.objects.create(campaign=campaign, text="from an operator", wanted=False)
    data["campaigns"][0]["golden"] = {"wanted": ["IELTS tutor?"], "unwanted": ["репетитор нужен"]}
    seed(data)
    found = dict(campaign.golden_texts.values_list("text", "wanted"))
    assert found == {"IELTS tutor?": True, "репетитор нужен": False, "from an operator": False}


def test_a_changed_file_makes_one_version_of_the_keywords(seed, data):
    seed(data)
    seed(data)
    data["campaigns"][0]["keywords"] = {"plus": ["ielts", "toefl", "teacher"], "minus": []}
    seed(data)
    versions = KeywordVersion.objects.order_by("number")
    assert [(version.number, version.by, len(version.keywords)) for version in versions] == [
        (1, "the seed file", 3),
        (2, "the seed file", 3),
    ]


def test_a_text_cannot_be_both_wanted_and_unwanted(seed, data):
    data["campaigns"][0]["golden"] = {"wanted": ["tea"], "unwanted": ["tea"]}
    with pytest.raises(CommandError, match="the same text is already among the wanted ones"):
        seed(data)


def test_a_second_look_follows_the_file_and_without_one_the_panel(seed, data):
    data["campaigns"][0]["second_look"] = {"blocked_senders": ["@Tea_Shop", 501], "instructions": "They learn English."}
    seed(data)
    settings = SecondLook.objects.get()
    assert (settings.enabled, settings.use_llm, settings.blocked_senders) == (True, True, ["@tea_shop", "501"])
    assert "unchanged" in seed(data)
    data["campaigns"][0]["second_look"] = {"enabled": False, "most_links": None}
    seed(data)
    del data["campaigns"][0]["second_look"]
    seed(data)
    settings = SecondLook.objects.get()
    assert (settings.enabled, settings.use_llm, settings.most_links, settings.blocked_senders) == (
        False,
        False,
        None,
        [],
    )


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"blocked_senders": ["two words"]}, '"two words" is neither a Telegram id nor a @username'),
        ({"least_score": 101}, "less than or equal to 100"),
        ({"use_llm": True}, "is not a known key"),
    ],
)
def test_wrong_settings_of_a_second_look_are_refused(seed, data, values, problem):
    data["campaigns"][0]["second_look"] = values
    with pytest.raises(CommandError, match=problem):
        seed(data)
