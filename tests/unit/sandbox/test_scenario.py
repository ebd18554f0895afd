"""Scenarios: what is refused, and what the demo's scenario and seed file promise to each other."""

import copy
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.scenario import Scenario, ScenarioError
from sandbox.world.world import World
from tests.support import ROOT
from texts.words.forms import forms_of

SMALL: dict[str, Any] = {
    "name": "small",
    "campaigns": ["school"],
    "accounts": [{"key": "anna", "phone": "9996620001", "first_name": "Anna"}],
    "people": [
        {"key": "irina", "first_name": "Ирина", "language": "ru", "behaviour": "curious"},
        {"key": "tom", "first_name": "Tom", "language": "en", "behaviour": "silent", "username": "tom_w"},
    ],
    "chats": [{"key": "yard", "kind": "supergroup", "title": "Yard", "members": ["anna", "irina", "tom"]}],
    "lines": [
        {"key": "first", "who": "tom", "chat": "yard", "text": "Hi"},
        {"who": "irina", "chat": "yard", "text": "Ищу школу", "reply_to": "first", "wants": "school"},
    ],
    "small_talk": [{"chat": "yard", "phrases": ["Good morning", "Доброе утро"]}],
    "replies": {
        "curious": {
            "turns": [1, 1],
            "ru": {"answers": ["Да?"], "last": ["Пока!"]},
            "en": {"answers": ["Yes?"], "last": ["Bye!"]},
        }
    },
}


def written(tmp_path: Path, *changes: tuple[str, object]) -> Path:
    """A file with SMALL, changed at the given dotted paths."""
    data = copy.deepcopy(SMALL)
    for path, value in changes:
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        place: Any = data
        for part in parents:
            place = place[part]
        place[last] = value
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    return file


def test_a_good_file_is_loaded_and_applied(tmp_path: Path) -> None:
    scenario = Scenario.load(written(tmp_path))
    world = World()
    scenario.apply(world)
    chat = world.chats[scenario.chat_ids()["yard"]]
    assert set(chat.members) == set(scenario.user_ids().values()) == set(world.users)
    assert world.users[scenario.user_ids()["anna"]].phone == "9996620001"
    assert scenario.expected_leads() == {("school", "irina")}
    assert Counter(line.who for line in scenario.script()) == {"tom": 2, "irina": 2}


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("colour", "red", "colour: Extra inputs are not permitted"),
        ("people.0.age", 40, "people.0.age: Extra inputs are not permitted"),
        ("people.1.language", "fr", "people.1.language: Input should be 'ru' or 'en'"),
        ("accounts.0.phone", "+1 555", "accounts.0.phone: String should match pattern"),
        ("chats.0.members", ["anna", "bob"], "chats.0: there is no account or person bob"),
        ("lines.1.who", "anna", "lines.1.who: there is no person anna"),
        ("chats.0.members", ["anna", "irina"], "lines.0.who: tom is not a member of yard"),
        ("lines.1.chat", "attic", "lines.1.chat: there is no chat attic"),
        ("lines.1.reply_to", "later", "lines.1.reply_to: no earlier line of yard has the key later"),
        ("lines.1.wants", "skool", "lines.1.wants: there is no campaign skool"),
        ("small_talk.0.chat", "attic", "small_talk.0.chat: there is no chat attic"),
        ("people.0.key", "tom", "the key tom exists twice"),
        ("people.0.turns", 2, "people.0.behaviour: too few ru replies for curious"),
        ("people.0.behaviour", "stops", "people.0.behaviour: there are no replies for stops"),
        ("replies.curious.turns", [2, 1], "replies.curious: turns: the smaller number comes first"),
    ],
)
def test_a_bad_file_is_refused_with_path_and_reason(tmp_path: Path, path: str, value: object, expected: str) -> None:
    file = written(tmp_path, (path, value))
    with pytest.raises(ScenarioError) as caught:
        Scenario.load(file)
    assert f"{file}: {expected}" in str(caught.value)


def test_what_is_no_yaml_or_not_there_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("people: [", encoding="utf-8")
    with pytest.raises(ScenarioError, match=r"bad\.yaml: not YAML"):
        Scenario.load(file)
    with pytest.raises(ScenarioError, match=r"nowhere\.yaml: No such file"):
        Scenario.load("nowhere")


def test_small_talk_is_sent_by_members_in_their_own_language(tmp_path: Path) -> None:
    senders = {line.text: line.who for line in Scenario.load(written(tmp_path)).script()}
    assert (senders["Good morning"], senders["Доброе утро"]) == ("tom", "irina")


# The demo


@pytest.fixture(scope="module")
def demo() -> Scenario:
    return Scenario.load("demo")


@pytest.fixture(scope="module")
def seed() -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load((ROOT / "docs/examples/demo.yaml").read_text(encoding="utf-8"))
    return data


def test_the_demo_is_large_enough(demo: Scenario) -> None:
    script = demo.script()
    assert len(script) >= 220
    assert len({line.chat for line in script}) == len(demo.chats) == 5
    assert len(demo.people) == 30
    assert len({campaign for campaign, _ in demo.expected_hits()}) == 2
    assert len(demo.expected_hits()) >= 30
    assert len(demo.expected_leads()) >= 24
    assert len(demo.expected_hits()) > len(demo.expected_leads()), "nobody hits twice"
    assert demo.play_seconds <= 25


def test_the_demo_has_every_behaviour_among_its_leads(demo: Scenario) -> None:
    leads = {person for _, person in demo.expected_leads()}
    behaviours = Counter(person.behaviour for person in demo.people if person.key in leads)
    assert behaviours["stops"] == 3
    assert behaviours["refuses"] == behaviours["asks_human"] == 1
    assert min(behaviours["silent"], behaviours["asks_price"], behaviours["curious"]) >= 3
    assert any(person.username is None for person in demo.people if person.key in leads)
    both = Counter(person for _, person in demo.expected_leads())
    assert max(both.values()) == 2, "nobody is a lead of both campaigns"


def test_no_two_lines_of_the_demo_are_alike(demo: Scenario) -> None:
    texts = Counter(line.text for line in demo.script())
    assert [text for text, count in texts.items() if count > 1] == []


def test_the_demo_applies_to_a_world(demo: Scenario) -> None:
    world = World()
    demo.apply(world)
    users, chats = demo.user_ids(), demo.chat_ids()
    for key in ("watcher", "mira", "max"):
        assert all(users[key] in world.chats[chat].members for chat in chats.values())
    assert Counter(chat.kind for chat in world.chats.values()) == {"supergroup": 4, "group": 1}


def test_the_seed_file_names_the_scenarios_accounts_and_chats(demo: Scenario, seed: dict[str, Any]) -> None:
    assert {bot["key"]: bot["phone"] for bot in seed["bots"]} == {a.key: f"+{a.phone}" for a in demo.accounts}
    named = {
        chat.key: f"@{chat.username}"
        if chat.username
        else f"https://t.me/+{chat.invite}"
        if chat.invite
        else str(chat.id)
        for chat in demo.chats
    }
    assert {chat["key"]: chat["telegram"] for chat in seed["chats"]} == named
    assert {campaign["slug"] for campaign in seed["campaigns"]} == set(demo.campaigns)


def test_the_seed_files_script_is_short_cast_and_permitted(demo: Scenario, seed: dict[str, Any]) -> None:
    (script,) = [script for campaign in seed["campaigns"] for script in campaign["scripts"]]
    keys = [line["key"] for line in script["lines"]]
    assert len(keys) >= 9
    assert len(script["targets"]) == 4
    assert set(script["cast"]) == set(script["slots"]) == {line["slot"] for line in script["lines"]}
    assert sum(line["delay_seconds"] for line in script["lines"]) <= 25
    assert sum("reply_to" in line for line in script["lines"]) * 2 >= len(keys)
    for index, line in enumerate(script["lines"]):
        assert line.get("reply_to") in (None, *keys[:index])
    purposes = {chat["key"]: {permission["purpose"] for permission in chat["permissions"]} for chat in seed["chats"]}
    assert all("script" in purposes[target] for target in script["targets"])
    members = {chat.key: set(chat.members) for chat in demo.chats}
    assert all(set(script["cast"].values()) <= members[target] for target in script["targets"])


def words_of(text: str) -> list[str]:
    return "".join(letter if letter.isalnum() else " " for letter in text.lower().replace("ё", "е")).split()


def has(text: str, keywords: Iterable[str], *, together: bool) -> bool:
    """Whether the words of a keyword are in the text in any of their forms: as a phrase, or in any order."""
    words = words_of(text)
    for keyword in keywords:
        wanted = [forms_of(word, ["ru", "en"]) for word in words_of(keyword)]
        runs = [words[start : start + len(wanted)] for start in range(len(words) - len(wanted) + 1)]
        if together:
            found = any(all(map(is_form, run, wanted)) for run in runs)
        else:
            found = all(not forms.isdisjoint(words) for forms in wanted)
        if found:
            return True
    return False


def is_form(word: str, forms: frozenset[str]) -> bool:
    return word in forms


def spelled_out(text: str, keywords: Iterable[str]) -> bool:
    words = set("".join(letter if letter.isalnum() else " " for letter in text.lower()).split())
    return any(set(keyword.split()) <= words for keyword in keywords)


@pytest.mark.parametrize("together", [True, False], ids=["phrases", "any order"])
def test_the_demos_hits_are_what_the_seed_files_keywords_find(
    demo: Scenario, seed: dict[str, Any], together: bool
) -> None:
    """Judged by a few lines that share nothing with the parser, so that the demo's expectation is not the parser's."""
    for campaign in seed["campaigns"]:
        plus, minus = campaign["keywords"]["plus"], campaign["keywords"]["minus"]
        watched = {chat for watch in campaign["watches"] for chat in watch["chats"]}
        for line in demo.script():
            found = has(line.text, plus, together=together) and not has(line.text, minus, together=together)
            assert (campaign["slug"] in line.wants) == (found and line.chat in watched), line.text


def test_the_demo_has_decoys_and_word_forms(demo: Scenario, seed: dict[str, Any]) -> None:
    plus = {campaign["slug"]: campaign["keywords"]["plus"] for campaign in seed["campaigns"]}
    decoys = [
        line
        for line in demo.script()
        for words in plus.values()
        if not line.wants and has(line.text, words, together=True)
    ]
    inflected = [line for slug, line in demo.expected_hits() if not spelled_out(line.text, plus[slug])]
    assert len(decoys) >= 8
    assert len(inflected) >= 10
