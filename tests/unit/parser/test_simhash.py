"""Fingerprints of texts: near-duplicates come close, other texts on the same topic do not."""

import random
from hashlib import blake2b
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parser.second_look.simhash import MOST_DIFFERING_BITS, differing_bits, simhash
from parser.second_look.texts import SIMHASH_WORDS, fingerprint_of, links_in, words_of

ADVERTISEMENTS = [
    "Продвижение в Telegram! Приведу целевых подписчиков в ваш канал. Работаю по договору, отчёт каждый день. "
    "Пишите в личные сообщения @promo_ivan",
    "Сдаётся уютная двухкомнатная квартира рядом с метро, свежий ремонт, вся мебель и техника, собственник, без "
    "комиссии, звоните 8 900 123 45 67",
    "Need more clients? We set up Google and Meta ads for small business, pay only for results, free audit this week, "
    "write to @adsguru or visit https://adsguru.example",
    "Курс английского языка онлайн: носители, живые разговоры, скидка 50% до конца недели. Первый урок бесплатно, "
    "записывайтесь по ссылке https://eng.example/free",
    "Заработок на дому без вложений, свободный график, обучение бесплатно, доход от 3000 рублей в день. Подробности в "
    "личку, пишите плюс",
]
SAME_TOPIC = [
    "Ищу репетитора по английскому языку для ребёнка 10 лет, желательно с опытом подготовки к экзаменам, онлайн, два "
    "раза в неделю",
    "Посоветуйте хорошего репетитора по английскому для взрослого, уровень начальный, хочу заниматься вечером по "
    "будням, бюджет до 1500",
    "Добрый день! Нужен репетитор по английскому языку для подготовки к ЕГЭ, ребёнок в одиннадцатом классе, занятия "
    "онлайн или у нас дома",
    "Кто знает репетитора по английскому языку в Казани? Ребёнку семь лет, с нуля, хотелось бы с носителем или с "
    "преподавателем с опытом",
    "Здравствуйте, ищу репетитора по английскому языку для ребёнка, подготовка к олимпиаде, нужен преподаватель с "
    "большим опытом, оплата любая",
    "Подскажите, пожалуйста, репетитора по английскому языку для девочки 12 лет, чтобы подтянуть грамматику, очно в "
    "центре города",
    "Looking for a good English tutor for my daughter, she is 9 years old, we live near the city centre and prefer "
    "evenings at home",
    "Hi all, I am looking for a tutor who can help my son prepare for the IELTS exam, online lessons, at least twice a "
    "week please",
    "Сдам квартиру на длительный срок семье без животных, две комнаты, третий этаж, рядом школа и парк, оплата раз в "
    "месяц",
    "Сниму квартиру на длительный срок, две комнаты, рядом с метро, семья без животных, порядок и оплату гарантируем, "
    "звоните",
    "Сниму однокомнатную квартиру на длительный срок без посредников, девушка, без животных, порядок гарантирую, "
    "желательно рядом с метро",
]


def bits(first: str, second: str) -> int:
    return differing_bits(simhash(words_of(first)), simhash(words_of(second)))


@pytest.mark.parametrize("text", ADVERTISEMENTS)
def test_decoration_does_not_change_the_fingerprint(text):
    for decorated in (
        f"🔥🔥🔥 {text} 🔥",
        text.upper(),
        f"\u200b{text}".replace(" ", " \u2060"),
        f"*** {text} !!!",
        text.replace("о", "o"),
    ):
        assert fingerprint_of(words_of(decorated)) == fingerprint_of(words_of(text))


@pytest.mark.parametrize("text", ADVERTISEMENTS)
def test_an_advertisement_with_one_word_changed_is_the_same(text):
    words = text.split()
    for place in range(len(words)):
        changed = [*words[:place], "сегодня", *words[place + 1 :]]
        assert bits(text, " ".join(changed)) <= MOST_DIFFERING_BITS, changed


def test_most_advertisements_with_two_changes_are_the_same():
    chance, same, tries = random.Random(7), 0, 0
    for text in ADVERTISEMENTS:
        for _ in range(20):
            words = text.split()
            words[chance.randrange(len(words))] = f"word{chance.randrange(1000)}"
            del words[chance.randrange(len(words))]
            same += bits(text, " ".join(words)) <= MOST_DIFFERING_BITS
            tries += 1
    assert same / tries > 0.8


def test_different_texts_on_the_same_topic_are_different():
    texts = [*ADVERTISEMENTS, *SAME_TOPIC]
    closest = min(bits(first, second) for place, first in enumerate(texts) for second in texts[:place])
    assert closest > MOST_DIFFERING_BITS + 3


@given(st.integers(0, 2**64 - 1), st.sets(st.integers(0, 63)))
def test_as_many_bits_differ_as_were_flipped(number, places):
    flipped = number
    for place in places:
        flipped ^= 1 << place
    signed = [each - 2**64 if each >= 2**63 else each for each in (number, flipped)]
    assert differing_bits(*signed) == differing_bits(*reversed(signed)) == len(places)
    assert differing_bits(signed[0], signed[0]) == 0


@settings(max_examples=25)
@given(st.lists(st.text(min_size=1, max_size=8), min_size=SIMHASH_WORDS, max_size=40))
def test_every_text_has_a_fingerprint_that_fits_into_a_column(words):
    mark = fingerprint_of(words)
    assert mark.digest is None and mark.simhash is not None and -(2**63) <= mark.simhash < 2**63


def test_a_simhash_is_the_majority_of_its_features():
    """Against the definition, feature by feature and bit by bit."""
    words = words_of(ADVERTISEMENTS[0])
    sums = [0] * 64
    features = dict.fromkeys(words, 2) | {f"{a} {b}": 1 for a, b in pairwise(words)}
    for feature, weight in features.items():
        number = int.from_bytes(blake2b(feature.encode(), digest_size=8).digest(), "little")
        for bit in range(64):
            sums[bit] += weight if number >> bit & 1 else -weight
    assert simhash(words) % 2**64 == sum(1 << bit for bit in range(64) if sums[bit] > 0)


def test_short_texts_are_the_same_only_if_they_are_equal():
    first, second = (fingerprint_of(words_of(text)) for text in ("Продам гараж, недорого!", "ПРОДАМ ГАРАЖ недорого 🚗"))
    assert first == second and first.simhash is None and first.digest is not None
    assert fingerprint_of(words_of("Продам гараж дорого")).digest != first.digest
    assert fingerprint_of(words_of("Нужен мастер")).digest is None


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("see https://a.example/x?y=1 and http://b.example", 2),
        ("t.me/joinchat/abc", 1),
        ("www.shop.example", 1),
        ("мой сайт: пример.рф/путь, а ещё shop.ru", 2),
        ("write to me@mail.ru, node.js or c++ 3.5 km", 0),
        ("конец.Начало без пробела, т.е. не ссылка", 0),
        ("tg://resolve?domain=x", 1),
    ],
)
def test_links_are_counted(text, links):
    assert links_in(text) == links
