import pytest

from campaigns.policy.disclosure import is_disclosed

GOOD = {
    "en": [
        "Hi! I'm an AI assistant of Green Gardens. Reply STOP and I won't write again.",
        "This message was written by an artificial intelligence for Green Gardens. To end this, just send “stop”.",
        "Green Gardens here; a bot is writing. Say stop at any time.",
        "I am Anna's automated assistant. If this is not welcome, please answer with the word stop.",
        "An AI of Green Gardens writes to you. Write 'stop', and we never write again.",
        'AI here, from Green Gardens. "Stop" is enough and I stop: stop to opt out.',
    ],
    "ru": [
        "Здравствуйте! Я ИИ-помощник компании «Сад». Напишите «стоп», и я больше не напишу.",
        "Вам пишет искусственный интеллект компании «Сад». Чтобы прекратить, ответьте стоп.",
        "Это нейросеть компании «Сад». Если неинтересно, просто отправьте слово СТОП.",
        "Я чат-бот компании «Сад». Скажите «стоп», чтобы я замолчал.",
        "Пишет бот «Сада». Стоп — и я больше не пишу. Ответьте «stop».",
    ],
}
BAD = {
    "en": [
        "Hi, I'm Anna from Green Gardens! Reply STOP to unsubscribe.",
        "I'm an AI assistant of Green Gardens. Want to hear about our tulips?",
        "I'm not an AI, I'm Anna. Reply stop if you want.",
        "I am not a bot. An AI did not write it; reply stop.",
        "We said: an AI writes. Our non-stop service is open.",
        "We aim high at Green Gardens. Reply STOP.",
        "An AI writes this. We never stop gardening.",
        "",
    ],
    "ru": [
        "Здравствуйте, я Анна из «Сада». Напишите «стоп», если неинтересно.",
        "Я ИИ-помощник «Сада». Рассказать про тюльпаны?",
        "Я не бот. Меня ведёт ИИ. Напишите стоп.",
        "Мои розы красивы. Напишите стоп.",
        "Работаю без выходных. Ответьте стоп.",
    ],
}


@pytest.mark.parametrize(("locale", "text"), [(locale, text) for locale in GOOD for text in GOOD[locale]])
def test_accepts(locale, text):
    assert is_disclosed(text, locale)


@pytest.mark.parametrize(("locale", "text"), [(locale, text) for locale in BAD for text in BAD[locale]])
def test_rejects(locale, text):
    assert not is_disclosed(text, locale)


def test_a_regional_locale_is_its_language():
    assert is_disclosed(GOOD["ru"][0], "ru-RU")
    assert is_disclosed(GOOD["en"][0], "en_GB")


def test_in_an_unsupported_language_nothing_counts():
    assert not is_disclosed(GOOD["en"][0], "de")


def test_the_language_must_be_the_leads():
    assert not is_disclosed(GOOD["en"][0], "ru")
