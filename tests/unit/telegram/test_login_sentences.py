"""What is said when Telegram refuses a login: a sentence, and what to do next."""

import pytest

from telegram.connection.proxy_settings import Proxy, parse_proxy
from telegram.error_mapping import error_name, map_error
from telegram.error_table import entry_of
from telegram.errors import BotDead, PermanentError, RetryAfter, TransientError
from telegram.logins.types import SENTENCES, WAYS, login_error

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("reason", SENTENCES)
def test_each_refusal_explains_what_happened_and_what_to_do_next(reason: str) -> None:
    text = SENTENCES[reason]
    assert text.endswith(".")
    assert text.count(". ") >= 1, "a second sentence: the next step"
    assert reason not in text


@pytest.mark.parametrize(
    "reason",
    sorted(set(SENTENCES) - {"SET_UP_EMAIL_REQUIRED", "AUTH_KEY_NOT_FOUND"}),
)
def test_the_reasons_are_spelled_as_telethon_knows_them(reason: str) -> None:
    from telethon.errors import rpc_errors_dict

    assert reason in rpc_errors_dict
    assert map_error(rpc_errors_dict[reason](request=None)).reason == reason
    assert entry_of(reason) is not None


def test_a_key_that_telegram_does_not_know_has_its_sentence() -> None:
    from telethon.errors.common import AuthKeyNotFound

    assert error_name(AuthKeyNotFound()) in SENTENCES


def test_a_flood_wait_is_shown_with_its_length() -> None:
    error = login_error(RetryAfter(90, "FLOOD_WAIT_90", "SendCode"))
    assert error.wait_seconds == 90 and "for 90 seconds" in str(error)


def test_an_unknown_error_still_shows_what_to_do() -> None:
    assert "Try again later" in str(login_error(PermanentError("SOMETHING_NEW")))
    assert "Check this machine's network" in str(login_error(TransientError("TimeoutError")))
    assert "Log in anew" in str(login_error(BotDead("AUTH_KEY_INVALID", needs_login=True)))


def test_every_way_of_sending_a_code_has_words() -> None:
    assert {"app", "sms", "call", "email_code"} <= set(WAYS)


def test_proxies_are_taken_apart() -> None:
    assert parse_proxy("") is None
    assert parse_proxy("socks5://me:p%40ss@10.0.0.1:1080") == Proxy("socks5", "10.0.0.1", 1080, "me", "p@ss")
    assert parse_proxy("http://proxy.example:3128") == Proxy("http", "proxy.example", 3128)
    assert parse_proxy("socks5h://proxy.example:1") == Proxy("socks5", "proxy.example", 1)


@pytest.mark.parametrize(
    "url",
    [
        f"mtproxy://{SECRET}@proxy.example:443",
        f"mtproxy://dd{SECRET}@proxy.example:443",
        f"tg://proxy?server=proxy.example&port=443&secret={SECRET}",
        f"https://t.me/proxy?server=proxy.example&port=443&secret=dd{SECRET}",
        "https://t.me/proxy?server=proxy.example&port=443&secret=ASNFZ4mrze8BI0VniavN7w",
    ],
)
def test_an_mtproxy_is_given_by_address_or_by_its_link(url: str) -> None:
    assert parse_proxy(url) == Proxy("mtproxy", "proxy.example", 443, secret=SECRET)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("10.0.0.1:1080", "socks5://"),
        ("socks5://hunter2@host", "socks5://"),
        ("socks5://hunter2@host:port", "socks5://"),
        ("ftp://hunter2@host:21", "socks5://"),
        ("mtproxy://hunter2@host:443", "32 hexadecimal digits"),
        (f"mtproxy://ee{SECRET}6578616d706c65@host:443", "fake TLS"),
        ("https://t.me/proxy?server=host", "https://t.me/proxy"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_refused_without_repeating_its_secret(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as refused:
        parse_proxy(url)
    assert "hunter2" not in str(refused.value)
