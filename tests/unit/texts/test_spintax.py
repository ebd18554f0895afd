"""Spintax: rendering, errors, and that the same seed always gives the same variant."""

import random

import pytest

from texts import spintax

WORDS = ["a", "bb", "Привет", " ", ".", "{", "|", "}", "\\", "x\\y"]
SEEDS = range(60)


def escaped(literal: str) -> str:
    return "".join("\\" + c if c in "{|}\\" else c for c in literal)


def made(rng: random.Random, depth: int = 0) -> tuple[str, set[str]]:
    """A random valid text and every variant of it, made without the parser."""
    text, possible = "", {""}
    for _ in range(rng.randint(1, 3)):
        if depth < 3 and rng.random() < 0.45:
            options = [made(rng, depth + 1) for _ in range(rng.randint(1, 3))]
            text += "{" + "|".join(option for option, _ in options) + "}"
            tails = set().union(*(variants for _, variants in options))
        else:
            literal = rng.choice(WORDS)
            text += escaped(literal)
            tails = {literal}
        possible = {head + tail for head in possible for tail in tails}
    return text, possible


def small(seed: int) -> tuple[str, set[str]]:
    rng = random.Random(seed)
    while True:
        text, possible = made(rng)
        if len(possible) <= 200:
            return text, possible


@pytest.mark.parametrize("seed", SEEDS)
def test_every_rendered_variant_is_possible(seed):
    text, possible = small(seed)
    spintax.validate(text)
    assert {spintax.render(text, random.Random(n)) for n in range(20)} <= possible


@pytest.mark.parametrize("seed", SEEDS)
def test_all_variants_are_listed_and_measured(seed):
    text, possible = small(seed)
    if spintax.count(text) > 5000:
        return
    assert set(spintax.variants(text)) == possible
    assert spintax.longest(text) == max(map(len, possible))
    assert spintax.may_be_blank(text) == any(not variant.strip() for variant in possible)


@pytest.mark.parametrize(("text", "blank"), [("{\u030a|Hello}", True), ("\r{ |\u2028}", True), ("a\u030a", False)])
def test_a_variant_of_which_telegram_keeps_nothing_is_blank(text, blank):
    assert spintax.may_be_blank(text) is blank


@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_seed_draws_the_same_variant(seed):
    text, _ = small(seed)
    assert spintax.render(text, random.Random(seed)) == spintax.render(text, random.Random(seed))


@pytest.mark.parametrize("seed", SEEDS)
def test_any_text_is_either_refused_with_a_position_or_rendered(seed):
    rng = random.Random(seed)
    text = "".join(rng.choice("ab{|}\\") for _ in range(rng.randint(0, 12)))
    try:
        spintax.validate(text)
    except spintax.SpintaxError as error:
        assert 1 <= error.position <= len(text)
        with pytest.raises(spintax.SpintaxError):
            spintax.render(text, rng)
    else:
        spintax.render(text, rng)


def test_every_option_is_drawn_sooner_or_later():
    assert {spintax.render("{a|b|{c|d}}", random.Random(n)) for n in range(100)} == set("abcd")


def test_an_option_may_be_empty():
    assert set(spintax.variants("hi{|!}")) == {"hi", "hi!"}


@pytest.mark.parametrize(
    ("text", "literal"),
    [(r"\{a\|b\}", "{a|b}"), (r"C:\dir", r"C:\dir"), (r"\\", "\\"), ("end\\", "end\\"), (r"{\|}", "|"), ("", "")],
)
def test_a_backslash_takes_the_special_characters_literally(text, literal):
    assert spintax.render(text, random.Random(0)) == literal


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a {b", "the { at character 3 has no closing }"),
        ("{a|{b}", "the { at character 1 has no closing }"),
        ("a}", r"the } at character 2 has no opening { (write \} for the character itself)"),
        ("a|b", r"the | at character 2 is outside of {…} (write \| for the character itself)"),
        ("say {}", "the {} at character 5 has no options"),
        ("{" * 21 + "a" + "}" * 21, "the { at character 21 is nested deeper than 20 levels"),
    ],
)
def test_a_mistake_is_named_with_its_position(text, message):
    with pytest.raises(spintax.SpintaxError) as caught:
        spintax.validate(text)
    assert str(caught.value) == message


def test_a_text_of_many_groups_is_rendered():
    text = "{a|b}" * 2000
    assert len(spintax.render(text, random.Random(1))) == 2000
    assert len(next(iter(spintax.variants(text)))) == 2000
