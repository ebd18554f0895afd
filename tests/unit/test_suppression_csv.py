"""A file of suppressions is taken whole or told, line by line, what is wrong."""

import pytest

from campaigns.models import Suppression
from campaigns.suppressing import Entry
from campaigns.suppression_csv import MOST_PROBLEMS, parse

IMPORT = Suppression.Source.IMPORT


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("telegram_user_id\n7\n\n8\n", [Entry(7, "", IMPORT), Entry(8, "", IMPORT)]),
        ("username,reason\n@Maria,said so\n", [Entry(None, "Maria", IMPORT, "said so")]),
        ('\ufeffReason;Telegram_User_Id\r\n"a; b";7\r\n', [Entry(7, "", IMPORT, "a; b")]),
        (
            "telegram_user_id,username,source,reason,created_at\n7,maria,words,'=1+1,2026-01-01\n",
            [Entry(7, "maria", Suppression.Source.WORDS, "=1+1")],
        ),
    ],
)
def test_a_sound_file_is_read(text, entries):
    parsed = parse(text.encode())
    assert (parsed.problems, parsed.entries) == ([], entries)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "line 1: a column telegram_user_id or username is needed"),
        ("reason\nx\n", "line 1: a column telegram_user_id or username is needed"),
        ("telegram_user_id,phone\n7,1\n", "line 1: unknown column 'phone'"),
        ("username,username\na,b\n", "line 1: a column is there twice"),
        ("username\n", "nobody is in the file"),
        ("telegram_user_id,reason\n7\n", "line 2: has 1 fields, the header 2"),
        ("telegram_user_id\n-100123\n", "line 2: telegram_user_id '-100123' is no Telegram id of a person"),
        ("telegram_user_id\n99999999999999999\n", "line 2: telegram_user_id '99999999999999999' is no"),
        ("telegram_user_id\nmaria\n", "line 2: telegram_user_id 'maria' is no"),
        ("username\nтея\n", "line 2: username 'тея' is no Telegram username"),
        ("username,reason\n,x\n", "line 2: names nobody"),
        ("username,source\nmaria,friend\n", "line 2: source 'friend' is none of"),
        (f"username,reason\nmaria,{'x' * 301}\n", "line 2: the reason has 301 characters"),
        ("username,reason\nmaria,a\0b\n", "line 2: the reason holds a NUL character"),
        ("username\nmaria\n@MARIA\n", "line 3: is the same person as line 2"),
        ('username,reason\nmaria,"two\nlines"\nno\n', "line 4: has 1 fields"),
        ('username\n"maria\n', "line 2: no CSV: "),
    ],
)
def test_a_mistake_is_told_with_its_line(text, problem):
    assert parse(text.encode()).problems[0].startswith(problem)


def test_every_mistake_is_told_up_to_a_limit():
    assert len(parse(b"username\n1\n2\n3\n").problems) == 3
    assert len(parse(b"username\n" + b"1\n" * 500).problems) == MOST_PROBLEMS + 1


def test_what_is_no_text_is_refused():
    assert parse(b"username\n\xff\xfe\n").problems == ["the file is not UTF-8: invalid start byte at byte 9"]
