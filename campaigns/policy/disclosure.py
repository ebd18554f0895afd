"""Checks that a first message says that an AI writes it, and how to stop it. Pure functions.

A program can only look for words: that the message names its sender is up to the campaign's author.
"""

import re

from django.core.exceptions import ValidationError

_FEW_WORDS = r"\W+(?:\w+\W+){0,4}?"

# "AI" and "ИИ" match only in upper case: in lower case they occur in ordinary text.
_AI = {
    "en": re.compile(
        r"\bAI\b|\bA\.I\.|(?i:\bartificial intelligence\b|\bneural network\b|\blanguage model\b|\b(?:chat)?bot\b"
        r"|\bautomated (?:assistant|message|account)\b|\bvirtual assistant\b)"
    ),
    "ru": re.compile(
        r"\bИИ\b|\bAI\b|(?i:\bискусственн\w+ интеллект\w*|\bнейросет\w+|\bнейронн\w+ сет\w+|\bязыков\w+ модел\w+"
        r"|\b(?:чат-?)?бот(?:ом|а|у)?\b|\bробот(?:ом|а)?\b|\bавтоматическ\w+ (?:помощник|сообщени)\w*"
        r"|\bвиртуальн\w+ (?:помощни|ассистент)\w*)"
    ),
}
_DENIAL = {
    "en": re.compile(r"(?i)\b(?:not|no|never)\s+(?:an?\s+)?(?:AI|bot|chatbot|robot|artificial|automated)\b"),
    "ru": re.compile(r"(?i)\bне\s+(?:ИИ|бот|чат-?бот|робот|нейросет\w+|искусственн\w+)\b"),
}
_STOP = {
    "en": re.compile(
        rf"(?i)\b(?:reply|write|send|say|text|answer|type|respond){_FEW_WORDS}(?:stop|unsubscribe)\b"
        rf"|\b(?:stop|unsubscribe)\b{_FEW_WORDS}(?:and (?:I|we)|to (?:opt out|end|stop|unsubscribe))\b"
    ),
    "ru": re.compile(
        rf"(?i)\b(?:ответ\w*|напи[сш]\w*|отправ\w*|пришл\w*|скаж\w*|введ\w*){_FEW_WORDS}(?:стоп|stop|отписаться|хватит)\b"
        rf"|\b(?:стоп|stop)\b{_FEW_WORDS}(?:чтобы|и (?:я|мы))\b"
    ),
}


def is_disclosed(text: str, locale: str) -> bool:
    """Whether the text says that an AI writes it and how to stop it, and does not deny being an AI.

    `locale` is the text's language: "en", "ru", or with a region, "ru-RU". False for every text in another language.
    """
    language = _language(locale)
    if language not in _AI:
        return False
    if _DENIAL[language].search(text):
        return False
    return bool(_AI[language].search(text) and _STOP[language].search(text))


def validate_locale(locale: str) -> None:
    """Raises ValidationError for a language that `is_disclosed` does not support: no first contact could be sent."""
    if _language(locale) not in _AI:
        raise ValidationError(
            f"Choose {' or '.join(_AI)}: in other languages CoolThing cannot check that a first contact says that an "
            "AI writes it."
        )


def _language(locale: str) -> str:
    return locale.lower().replace("_", "-").split("-")[0]
