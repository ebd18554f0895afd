"""Seed files: what is refused, and that file, path, reason and line are named."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from coolthing_site.seeding.problems import SeedError
from coolthing_site.seeding.reading import read
from tests.support import ROOT

DEMO = ROOT / "docs" / "examples" / "demo.yaml"


GOOD = yaml.safe_load(DEMO.read_text(encoding="utf-8"))


def demo() -> dict:
    return copy.deepcopy(GOOD)


def refused(tmp_path: Path, content: object) -> list[str]:
    """The problems of a file, each without the file's name and the line."""
    file = tmp_path / "seed.yaml"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content, allow_unicode=True))
    with pytest.raises(SeedError) as caught:
        read(str(file))
    for line in str(caught.value).splitlines():
        assert line.startswith(f"{file}: ")
    return [str(problem).partition(" (line ")[0] for problem in caught.value.problems]


def change(data: dict, path: str, value: object) -> dict:
    """`data` with the value at campaigns.0.scripts.0.… replaced; ... deletes it."""
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    inner: Any = data
    for part in parents:
        inner = inner[part]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return data


def test_the_demo_file_is_good():
    seed = read(str(DEMO))
    assert len(seed.campaigns) == 2 and len(seed.campaigns[0].scripts[0].lines) >= 8


def test_an_empty_mapping_seeds_nothing(tmp_path):
    file = tmp_path / "seed.yaml"
    file.write_text("{}")
    assert read(str(file)).campaigns == ()


CASES = [
    ("campaigns.0.scripts.0.lines.2.reply_to", "x", 'no earlier line is called "x"'),
    ("campaigns.0.scripts.0.lines.2.reply_to", "bye", 'no earlier line is called "bye"'),
    ("campaigns.0.scripts.0.lines.2.slot", "chorus", 'no slot is called "chorus"'),
    ("campaigns.0.scripts.0.lines.2.key", "hello", 'an earlier line has the same key: "hello"'),
    ("campaigns.0.scripts.0.lines.2.text", "{a", "the { at character 1 has no closing }"),
    ("campaigns.0.scripts.0.lines.2.text", "{a| }", "one of its variants is blank"),
    ("campaigns.0.scripts.0.lines.2.text", "x" * 4097, "one of its variants is longer than 4096 characters"),
    ("campaigns.0.scripts.0.lines.2.delay_seconds", -1, "input should be greater than or equal to 0"),
    ("campaigns.0.scripts.0.lines.2.colour", "red", "is not a known key"),
    ("campaigns.0.scripts.0.cast.host", "mira", 'bot "mira" has the role manager, not actor'),
    ("campaigns.0.scripts.0.cast.host", "nobody", 'no bot is called "nobody"'),
    ("campaigns.0.scripts.0.cast.chorus", "anna", "there is no slot with this name"),
    ("campaigns.0.scripts.0.targets.1", "expats", '"expats" appears twice'),
    ("campaigns.0.scripts.0.targets.1", "nowhere", 'no chat is called "nowhere"'),
    ("campaigns.0.scripts.0.targets.1", "neighbours", 'chat "neighbours" has no permission for the purpose "script"'),
    ("campaigns.0.time_zone", "Europe/Nowhere", 'no time zone is called "Europe/Nowhere" (such as Europe/Berlin)'),
    ("campaigns.0.locale", "de", "input should be 'en' or 'ru'"),
    ("campaigns.0.managers.1", "mira", '"mira" appears twice'),
    ("campaigns.0.managers.1", "anna", 'bot "anna" has the role actor, not manager'),
    ("campaigns.0.watches.0.bot", "anna", 'bot "anna" has the role actor, not parser'),
    ("campaigns.0.watches.0.chats.1", "expats", "is already watched for this campaign"),
    ("campaigns.0.keywords.minus.1", "IELTS", '"IELTS" is already among the plus keywords'),
    ("campaigns.0.keywords.plus", [], "chats are watched, but the campaign has no plus keywords"),
    ("campaigns.0.first_contact", "", "is missing: the campaign has managers, who need a first message"),
    ("campaigns.0.slug", ..., "is missing"),
    ("campaigns.1.slug", "english-school", 'an earlier campaign has the same slug: "english-school"'),
    ("campaigns.0.name", 7, "is not a text: put it in quotes"),
    ("bots.3.key", "anna", 'an earlier bot has the same key: "anna"'),
    ("bots.1.phone", "12", "is not a phone number in international form: write + and 7 to 15 digits, in quotes"),
    ("bots.1.phone", "+9996620001", "an earlier bot has the same phone number"),
    ("bots.1.role", "singer", "input should be 'actor', 'parser' or 'manager'"),
    ("chats.0.telegram", "expats", None),
    ("chats.1.telegram", "@Riverside_Expats", "an earlier chat has the same reference: @riverside_expats"),
    ("chats.0.permissions.0.evidence", " ", "is empty"),
    ("chats.0.permissions.0.granted_at", "2026-11-02T10:00:00", "has no time zone: end it with Z or +03:00"),
    ("chats.0.permissions.0.valid_until", "2026-11-02T10:00:00Z", "the permission would end before it begins"),
    ("chats.0.permissions.0.granted_at", "9999-12-31T23:00:00-12:00", "its year is not between 1970 and 9998"),
    ("chats.0.permissions.0.valid_until", "2027-01-01", "has no time zone: end it with Z or +03:00"),
    ("chats.0.permissions.0.evidence_link", "a letter", "is not a link: a link begins with https:// or http://"),
    ("chats.0.permissions.1.purpose", "script", 'the purpose "script" appears twice'),
    ("budgets.0.limit", -1, "input should be greater than or equal to 0"),
    ("budgets.0.key", "nobody", 'no bot is called "nobody"'),
    ("budgets.3.key", "²", "the key of a budget with the scope peer must be a person's Telegram id"),
    ("budgets.3.counts", "new_contacts", "new contacts can be counted only for the team, a campaign or a bot"),
]


@pytest.mark.parametrize(("path", "value", "reason"), CASES)
def test_a_mistake_is_named_with_its_path_and_reason(tmp_path, path, value, reason):
    dotted = "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in path.split(".")).lstrip(".")
    found = refused(tmp_path, change(demo(), path, value))
    assert any(
        line.startswith(f"{dotted}: ") and (reason is None or line == f"{dotted}: {reason}") for line in found
    ), found


def test_a_slot_with_lines_and_no_bot_is_refused(tmp_path):
    data = change(demo(), "campaigns.0.scripts.0.cast.host", ...)
    assert refused(tmp_path, data) == ['campaigns[0].scripts[0].cast: slot "host" has lines, but no bot is cast for it']


def test_a_target_without_a_label_is_refused(tmp_path):
    (problem,) = refused(tmp_path, change(demo(), "chats.0.label", ""))
    assert problem.startswith('campaigns[0].scripts[0].targets[0]: chat "expats" has no label')


def test_one_variant_without_the_disclosure_is_enough_to_refuse(tmp_path):
    text = "{An AI assistant writes this, reply stop to end it.|Hi, I am Mira.}"
    (problem,) = refused(tmp_path, change(demo(), "campaigns.1.first_contact", text))
    assert problem.startswith('campaigns[1].first_contact: a variant does not say, in the language "en"')
    assert "Hi, I am Mira." in problem


def test_a_webhook_needs_a_url_and_patterns_must_be_patterns(tmp_path):
    channel = {"name": "team", "kind": "webhook", "address": "example", "events": ["*.crash"]}
    data = {"notifier": {"channels": [channel]}}
    assert refused(tmp_path, data) == [
        "notifier.channels[0].address: enter the URL of the webhook, which begins with http:// or https://"
    ]
    channel["events"] = ["a..b"]
    assert refused(tmp_path, data)[0].startswith("notifier.channels[0].events[0]: is not a topic pattern")


def test_quiet_hours_stay_what_they_look_like_without_quotes(tmp_path):
    file = tmp_path / "seed.yaml"
    file.write_text("campaigns:\n- {slug: a, name: A, quiet_hours: {from: 22:00, to: 08:30}}\n")
    hours = read(str(file)).campaigns[0].quiet_hours
    assert hours is not None and f"{hours.start:%H:%M} {hours.end:%H:%M}" == "22:00 08:30"


def test_quiet_hours_that_are_no_hours_are_refused(tmp_path):
    campaign = {"slug": "a", "name": "A", "quiet_hours": {"from": "25:00", "to": "8"}}
    assert refused(tmp_path, {"campaigns": [campaign]}) == [
        'campaigns[0].quiet_hours.from: is not a time of day: write it like "22:00"',
        'campaigns[0].quiet_hours.to: is not a time of day: write it like "22:00"',
    ]


def test_all_problems_are_reported_at_once_with_their_lines(tmp_path):
    file = tmp_path / "seed.yaml"
    file.write_text("bots:\n- key: a\n  role: actor\n  phone: x\nchats:\n- key: b\n  telegram: '@abcdef'\n  extra: 1\n")
    with pytest.raises(SeedError) as caught:
        read(str(file))
    assert [problem.line for problem in caught.value.problems] == [4, 8]
    assert str(caught.value).splitlines()[1] == f"{file}: chats[0].extra: is not a known key (line 8)"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("- 1", "input should be a valid dictionary"),
        ("bots: [", "is not valid YAML: "),
        ("bots:\n- {key: a\n  b", "is not valid YAML: "),
        ("bots: []\nbots: []\n", "bots: appears twice"),
        ("a: &a [*a]", "is too deep, or the file is too large"),
        ("bots: !!python/object/apply:os.system ['true']", "is not valid YAML: could not determine a constructor"),
        ('budgets: ["\\0"]', "budgets[0]: contains a NUL character"),
        ('budgets: ["\\ud83d"]', "budgets[0]: contains half of a surrogate pair"),
        ("a: \x07", "is not valid YAML: "),
    ],
)
def test_what_is_no_seed_file_is_refused_in_words(tmp_path, text, reason):
    assert reason in refused(tmp_path, text)[0]


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SeedError, match=r"nothing\.yaml: No such file or directory"):
        read(str(tmp_path / "nothing.yaml"))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_a_file_that_windows_wrote_is_read(tmp_path, encoding):
    file = tmp_path / "seed.yaml"
    file.write_bytes(DEMO.read_text(encoding="utf-8").replace("\n", "\r\n").encode(encoding))
    assert read(str(file))


def test_a_file_that_is_not_utf8_is_named(tmp_path):
    file = tmp_path / "seed.yaml"
    file.write_bytes(b"bots: \xff")
    with pytest.raises(SeedError, match="is not UTF-8"):
        read(str(file))
