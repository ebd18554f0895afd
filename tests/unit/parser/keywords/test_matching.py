"""Keywords are found in all their forms, and only there."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from parser.keywords.compiling import Term, compile_known_terms
from parser.keywords.index import KeywordIndex
from tests.support import ROOT


class Matcher:
    """The keywords of one campaign in an index of their own."""

    def __init__(self, terms):
        self._index: KeywordIndex[int] = KeywordIndex()
        self._index.put(1, compile_known_terms(terms, ["ru", "en"]))

    def match(self, text):
        """The first keyword, in their order, that the text contains; None if there is no hit."""
        return self._index.match(text, {1}).get(1, (None,))[0]


def matcher(*plus, minus=()):
    return Matcher([*(Term(text) for text in plus), *(Term(text, minus=True) for text in minus)])


@pytest.mark.parametrize(
    ("keyword", "text"),
    [
        ("английский", "Кто занимается английским с детьми?"),
        ("английский", "английского не хватает"),
        ("репетитор", "А сколько берут репетиторы за час?"),
        ("репетитор", "РЕПЕТИТОРОМ так и не обзавелись"),
        ("обжарка", "где взять тёмную обжарку?"),
        ("тёмный", "темную"),
        ("темный", "ТЁМНУЮ"),
        ("зелёный", "зеле\u0301ный чай"),
        ("зелёный", "зеле\u0308ный чай"),
        ("english lessons", "My team wants English lessons on Fridays"),
        ("english lessons", "one English lesson, please"),
        ("roaster", "Any good ROASTERS in town?"),
        ("roastery", "Which roasteries have a subscription?"),
        ("coffee beans", "coffee-beans!"),
        ("зерновой кофе", "два кило зернового кофе на офис"),
        ("английский", "школа_английского_языка"),
        ("репетитор", "онлайн-репетитор"),
        ("репетитор", "репе\u00adти\u200bтор"),
        ("kids", "my kid's school"),
        ("c++", "Looking for a C++ tutor"),
        ("ielts", "ＩＥＬＴＳ in March"),
        ("15", "курс за 15 дней"),
        ("5ком*", "продам 5комнатную"),
        ("5ком*", "5ком"),
        ("1с*", "ищу 1спрограммиста"),
        ("50%", "скидка 50 %"),
        ("50 %", "скидка 50%"),
        ("wi-fi*", "wifi-роутер"),
        ("e-mail*", "емэйл, emails"),
        ("1 2", "½ и 1 2"),
        ("avito.ru", "https://avito.ru/abc"),
        ("кофе чай", "кофе, чай"),
        ("мастер -мастерская", "мастер"),
    ],
)
def test_a_keyword_stands_for_all_its_forms(keyword, text):
    assert matcher(keyword).match(text) == keyword


@pytest.mark.parametrize(
    ("keyword", "text"),
    [
        ("репетитор", "Завтра репетиция школьного хора"),
        ("roaster", "The roasted chicken is worth the queue"),
        ("обжарка", "Обжарить лук или сразу тушить?"),
        ("english lessons", "lessons of English"),
        ("english lessons", "English cooking lessons"),
        ("english tutor", "The Englishman is a tutor"),
        ("кот", "котлета"),
        ("art", "start"),
        ("c++", "vitamin C is good"),
        ("15", "150 дней"),
        ("зерновой кофе", "Испеку зерновой хлеб к чаю, потом кофе"),
        ("!!!", "wow!!!"),
        ("", "anything"),
    ],
)
def test_a_keyword_is_not_found_inside_other_words_or_in_pieces(keyword, text):
    assert matcher(keyword).match(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "Английский бесплатно бывает?",
        "бесплатный английский",
        "английский репетитор, вакансия, английский",
        "an English tutor for free",
    ],
)
def test_one_minus_keyword_outweighs_every_plus_keyword(text):
    looking = matcher("английский", "репетитор", "english tutor", minus=["бесплатно", "вакансия", "for free"])
    assert looking.match(text) is None


def test_the_words_of_a_minus_phrase_do_no_harm_one_by_one():
    assert matcher("english tutor", minus=["for free"]).match("An English tutor, free on Fridays?") == "english tutor"


def test_the_first_keyword_of_the_campaign_is_named_as_its_author_wrote_it():
    assert matcher("Репетитор", "Английский").match("английского репетитора ищу") == "Репетитор"


def test_without_keywords_nothing_matches():
    assert Matcher([]).match("английский") is None


def test_hundreds_of_keywords_cost_no_more_than_a_few():
    text = "Соседи, посоветуйте хорошего репетитора по английскому для сына, третий класс " * 3

    def seconds(looking):
        # The thread's own time: what else the machine does meanwhile does not count.
        started = time.thread_time()
        for _ in range(300):
            assert looking.match(text) == "репетитор"
        return time.thread_time() - started

    few = min(seconds(matcher("репетитор")) for _ in range(3))
    many = min(
        seconds(matcher(*(f"слово{number} фраза{number}" for number in range(1000)), "репетитор")) for _ in range(3)
    )
    # Scanning for each keyword by itself would be about a thousand times slower.
    assert many < few * 20


def test_several_threads_may_match_at_once():
    looking = matcher("английский", "roaster")
    texts = ["нужен английский язык", "good roasters here"] * 500
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(looking.match, texts)) == ["английский", "roaster"] * 500


def test_the_demo_finds_exactly_the_lines_that_are_meant_to_be_found():
    campaigns = yaml.safe_load((ROOT / "docs/examples/demo.yaml").read_text())["campaigns"]
    scenario = yaml.safe_load((ROOT / "sandbox/scenarios/demo.yaml").read_text())
    looking = {each["slug"]: matcher(*each["keywords"]["plus"], minus=each["keywords"]["minus"]) for each in campaigns}
    lines = [(line["text"], line.get("wants", [])) for line in scenario["lines"]]
    lines += [(phrase, []) for talk in scenario["small_talk"] for phrase in talk["phrases"]]
    for text, wants in lines:
        found = {slug for slug, each in looking.items() if each.match(text)}
        assert found == ({wants} if isinstance(wants, str) else set(wants)), text
