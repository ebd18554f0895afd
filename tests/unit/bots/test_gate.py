"""Each clause of the gate, by itself and against the others."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from bots.gate.rules import Facts, FloodWait, FullBudget, judge, objections
from bots.gate.verdicts import ALLOW, Refuse, Wait
from campaigns.permissions.validity import Gap

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
LATER = NOON + timedelta(minutes=5)
MUCH_LATER = NOON + timedelta(hours=3)

FACTS = Facts(
    now=NOON,
    purpose="script",
    bot="Anna",
    owned=True,
    logged_in=True,
    bot_state="online",
    bot_state_reason="",
    met_restriction=False,
    flood_waits=(),
    blocked_until=None,
    campaign="Autumn",
    campaign_state="running",
    time_zone="Europe/Berlin",
    quiet_from=None,
    quiet_to=None,
    origin=ALLOW,
    suppressed=False,
    disclosed=True,
    chat="Gardeners",
    in_supergroup=True,
    permission_gap=None,
    chat_labelled=True,
    member=True,
    replies_to=None,
    ahead="",
    full_budgets=(),
)
TO_PERSON = replace(FACTS, chat=None, in_supergroup=False, chat_labelled=False, member=False)
FIRST = replace(TO_PERSON, purpose="first_contact")
REPLY = replace(TO_PERSON, purpose="reply")
OPERATOR = replace(TO_PERSON, purpose="operator")
# 12:00 UTC is 13:00 in Berlin.
QUIET_NOW: dict[str, Any] = {"quiet_from": time(12, 30), "quiet_to": time(14, 0)}
QUIET_END = datetime(2026, 11, 23, 13, 0, tzinfo=UTC)


@pytest.mark.parametrize("facts", [FACTS, FIRST, REPLY, OPERATOR], ids=["script", "first", "reply", "operator"])
def test_allows_what_nothing_forbids(facts):
    assert judge(facts) == ALLOW


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (replace(FACTS, origin=Refuse("The play was stopped.")), "The play was stopped."),
        (replace(FACTS, campaign_state="finished"), "Campaign “Autumn” is finished."),
        (replace(REPLY, suppressed=True), "This person asked not to be written to."),
        (replace(OPERATOR, suppressed=True), "This person asked not to be written to."),
        (
            replace(FACTS, permission_gap=Gap("it expired at 2026-11-23 11:00 UTC")),
            "No permission from the owner of “Gardeners” is in force: it expired at 2026-11-23 11:00 UTC.",
        ),
        (
            replace(FIRST, disclosed=False),
            "A first message must say that an AI writes it and how to opt out; this text does not.",
        ),
        (
            replace(FACTS, chat_labelled=False),
            "“Gardeners” has no label: enter the text that informs its members of the scripts.",
        ),
        (replace(FACTS, replies_to="refused"), "The message to which this one replies was not sent."),
        (replace(FACTS, replies_to="failed"), "The message to which this one replies was not sent."),
        (replace(FACTS, replies_to="cancelled"), "The message to which this one replies was not sent."),
        (
            replace(FACTS, replies_to="unknown"),
            "It is not known whether the message to which this one replies was sent.",
        ),
    ],
)
def test_refuses(facts, reason):
    assert judge(facts) == Refuse(reason)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (replace(FACTS, owned=False), "Anna is not connected."),
        (replace(FACTS, owned=False, logged_in=False), "Anna is not logged in: log it in."),
        (replace(FACTS, owned=False, blocked_until=NOON), "Anna is not connected."),
        (
            replace(FACTS, permission_gap=Gap("it is suspended", lasting=False)),
            "No permission from the owner of “Gardeners” is in force: it is suspended.",
        ),
        (replace(FACTS, campaign_state="paused"), "Campaign “Autumn” is paused."),
        (replace(OPERATOR, campaign_state="paused"), "Campaign “Autumn” is paused."),
        (replace(FACTS, campaign_state="draft"), "Campaign “Autumn” is not started yet."),
        (replace(FACTS, origin=Wait(None, "The play is paused.")), "The play is paused."),
        (
            replace(FACTS, bot_state="banned", bot_state_reason="USER_DEACTIVATED_BAN"),
            "Anna is banned (USER_DEACTIVATED_BAN). No other account sends its messages.",
        ),
        (
            replace(FACTS, bot_state="needs_login"),
            "Anna needs to be logged in again. No other account sends its messages.",
        ),
        (replace(FACTS, bot_state="stopped"), "Anna is stopped. No other account sends its messages."),
        (
            replace(FACTS, bot_state="restricted", bot_state_reason="PEER_FLOOD, USER_BANNED_IN_CHANNEL"),
            "Telegram does not let Anna write in supergroups: "
            "its lines there wait until an operator releases the restriction.",
        ),
        (
            replace(FIRST, bot_state="restricted"),
            "Telegram restricts Anna: its first contacts wait until an operator releases the restriction.",
        ),
        (
            replace(REPLY, bot_state="restricted", met_restriction=True),
            "Telegram restricts Anna: its first contacts wait until an operator releases the restriction.",
        ),
        (
            replace(FACTS, member=False),
            "Anna is not a member of “Gardeners” yet and joins it when it is connected and its limits allow it.",
        ),
        (replace(FACTS, replies_to="sending"), "The message to which this one replies has not been sent yet."),
        (replace(FACTS, replies_to="queued"), "The message to which this one replies has not been sent yet."),
        (replace(FACTS, ahead="Another goes first."), "Another goes first."),
        (
            replace(FACTS, time_zone="Mars/Olympus", **QUIET_NOW),
            "The time zone “Mars/Olympus” of campaign “Autumn” is unknown: correct it on the campaign's page.",
        ),
        (replace(FACTS, full_budgets=(FullBudget("Anna", 0, 60, None),)), "The budget of Anna is 0."),
    ],
)
def test_waits_without_a_known_end(facts, reason):
    assert judge(facts) == Wait(None, reason)


@pytest.mark.parametrize(
    ("facts", "until", "reason"),
    [
        (
            replace(FACTS, flood_waits=(FloodWait(LATER, "FLOOD_WAIT_300"), FloodWait(NOON, "FLOOD_WAIT_1"))),
            LATER,
            "FLOOD_WAIT_300: Telegram asked Anna to wait.",
        ),
        (
            replace(FACTS, owned=False, bot_state="waiting", bot_state_reason="FLOOD_WAIT_300", blocked_until=LATER),
            LATER,
            "FLOOD_WAIT_300: Telegram asked Anna to wait.",
        ),
        (
            replace(FACTS, **QUIET_NOW),
            QUIET_END,
            "Quiet hours of campaign “Autumn” (12:30–14:00 Europe/Berlin).",
        ),
        (
            replace(FIRST, **QUIET_NOW),
            QUIET_END,
            "Quiet hours of campaign “Autumn” (12:30–14:00 Europe/Berlin).",
        ),
        (
            replace(FACTS, full_budgets=(FullBudget("Anna", 20, 3600, LATER), FullBudget("the team", 1, 90, NOON))),
            LATER,
            "The budget of Anna is used up: at most 20 in 1 hour.",
        ),
        (
            replace(FACTS, full_budgets=(FullBudget("this person", 3, 172_800, LATER),)),
            LATER,
            "The budget of this person is used up: at most 3 in 2 days.",
        ),
        (
            replace(FACTS, full_budgets=(FullBudget("this person", 3, 90, LATER),)),
            LATER,
            "The budget of this person is used up: at most 3 in 90 s.",
        ),
        (replace(FACTS, origin=Wait(LATER, "Not before five past.")), LATER, "Not before five past."),
    ],
)
def test_waits_until(facts, until, reason):
    assert judge(facts) == Wait(until, reason)


@pytest.mark.parametrize(
    "facts",
    [
        replace(REPLY, **QUIET_NOW),
        replace(OPERATOR, **QUIET_NOW),
        replace(REPLY, bot_state="restricted"),
        replace(FACTS, bot_state="restricted"),
        replace(FACTS, bot_state="restricted", bot_state_reason="PEER_FLOOD"),
        replace(REPLY, bot_state="restricted", bot_state_reason="USER_BANNED_IN_CHANNEL"),
        replace(FACTS, bot_state="restricted", bot_state_reason="USER_BANNED_IN_CHANNEL", in_supergroup=False),
        replace(REPLY, disclosed=False),
        replace(FACTS, purpose="operator", chat_labelled=False),
        replace(FACTS, flood_waits=(FloodWait(NOON, "FLOOD_WAIT_1"),)),
        replace(FACTS, replies_to="sent"),
        replace(FACTS, quiet_from=time(22), quiet_to=time(8)),
    ],
)
def test_allows_what_the_clause_does_not_concern(facts):
    assert judge(facts) == ALLOW


def test_a_refusal_comes_before_every_wait():
    facts = replace(
        REPLY, suppressed=True, campaign_state="paused", owned=False, flood_waits=(FloodWait(LATER, "FLOOD_WAIT_300"),)
    )
    assert isinstance(judge(facts), Refuse)


def test_a_wait_with_an_open_end_comes_before_one_with_a_known_end():
    facts = replace(FACTS, campaign_state="paused", flood_waits=(FloodWait(LATER, "FLOOD_WAIT_300"),))
    assert judge(facts) == Wait(None, "Campaign “Autumn” is paused.")


def test_of_several_known_ends_the_latest_decides():
    facts = replace(
        FACTS, flood_waits=(FloodWait(LATER, "FLOOD_WAIT_300"),), full_budgets=(FullBudget("Anna", 1, 60, MUCH_LATER),)
    )
    assert judge(facts) == Wait(MUCH_LATER, "The budget of Anna is used up: at most 1 in 1 minute.")


def test_all_objections_are_listed_the_decisive_one_first():
    facts = replace(
        FIRST,
        suppressed=True,
        campaign_state="paused",
        flood_waits=(FloodWait(LATER, "FLOOD_WAIT_300"),),
        full_budgets=(FullBudget("Anna", 1, 60, MUCH_LATER),),
    )
    assert [type(objection).__name__ for objection in objections(facts)] == ["Refuse", "Wait", "Wait", "Wait"]
    assert [objection.until for objection in objections(facts) if isinstance(objection, Wait)] == [
        None,
        MUCH_LATER,
        LATER,
    ]
    assert judge(facts) == objections(facts)[0]


def test_while_the_permission_waits_the_reason_does_not_promise_joining():
    waiting = replace(FACTS, member=False, permission_gap=Gap("the chat's reference is being confirmed", lasting=False))
    reasons = [objection.reason for objection in objections(waiting)]
    assert "Anna is not a member of “Gardeners” yet and joins it when the permission is in force." in reasons
