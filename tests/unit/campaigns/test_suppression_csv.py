"""A file of suppressions as spreadsheets write it: what was understood, line by line."""

from typing import Any

import pytest

from campaigns.models import Suppression
from campaigns.suppressions.bulk import SuppressionEntry
from campaigns.suppressions.csv_files import MOST_BYTES, MOST_LISTED, read

IMPORT = Suppression.Source.IMPORT


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("telegram_user_id\n7\n\n8\n", [SuppressionEntry(7, "", IMPORT), SuppressionEntry(8, "", IMPORT)]),
        ("username,reason\n@Maria,said so\n", [SuppressionEntry(None, "Maria", IMPORT, "said so")]),
        ('\ufeffReason;Telegram_User_Id\r\n"a; b";7\r\n', [SuppressionEntry(7, "", IMPORT, "a; b")]),
        (
            "telegram_user_id,username,source,reason,created_at\n7,maria,words,'=1+1,2026-01-01\n",
            [SuppressionEntry(7, "maria", Suppression.Source.WORDS, "=1+1")],
        ),
        ("phone\tUser ID\tComment\n+49 1\t7\tno\n", [SuppressionEntry(7, "", IMPORT, "no")]),
        ("sep=;\nusername;reason\nmaria;a,b,c\n", [SuppressionEntry(None, "maria", IMPORT, "a,b,c")]),
        (
            "username,reason\rmaria,x\ranton,y\r",
            [SuppressionEntry(None, "maria", IMPORT, "x"), SuppressionEntry(None, "anton", IMPORT, "y")],
        ),
        (
            "username\r\nmaria\nanton\rboris",
            [SuppressionEntry(None, name, IMPORT) for name in ("maria", "anton", "boris")],
        ),
        (
            'username,reason\nmaria,"two\r\nlines, ""a"""\n',
            [SuppressionEntry(None, "maria", IMPORT, 'two\r\nlines, "a"')],
        ),
        ("username,reason,,\nmaria,x,,,,\n", [SuppressionEntry(None, "maria", IMPORT, "x")]),
    ],
)  # fmt: skip
def test_a_sound_file_is_read(text: str, entries: list[SuppressionEntry]):
    found = read(text.encode())
    assert (found.problem, found.damaged.lines, found.entries) == ("", [], entries)


RUSSIAN = "username;reason\r\nmaria;Сказала: стоп, больше не писать\r\n"
GERMAN = "username\treason\nmaria\tmöchte nichts mehr hören\n"
ENCODED: dict[str, tuple[bytes, str, str, str]] = {
    "UTF-8 with a mark": (RUSSIAN.encode("utf-8-sig"), RUSSIAN, "UTF-8, by its byte order mark", "semicolon"),
    "UTF-8": (RUSSIAN.encode(), RUSSIAN, "UTF-8, it is valid UTF-8", "semicolon"),
    "UTF-16, as Excel's Unicode text": (GERMAN.encode("utf-16"), GERMAN, "UTF-16, little-endian, by its byte", "tab"),
    "UTF-16-LE without a mark": (GERMAN.encode("utf-16-le"), GERMAN, "UTF-16, little-endian, by the zero bytes", "tab"),
    "UTF-16-BE without a mark": (RUSSIAN.encode("utf-16-be"), RUSSIAN, "UTF-16, big-endian, by the zero", "semicolon"),
    "Windows-1251": (RUSSIAN.encode("cp1251"), RUSSIAN, "Windows-1251 (Cyrillic), guessed from its wo", "semicolon"),
    "KOI8-R": (RUSSIAN.encode("koi8-r"), RUSSIAN, "KOI8-R", "semicolon"),
    "Windows-1252": (GERMAN.encode("cp1252"), GERMAN, "Windows-1252 (Western European), guessed", "tab"),
}


@pytest.mark.parametrize("encoding", ENCODED)
def test_encoding_and_separator_are_detected_and_shown(encoding: str):
    content, text, says, separator = ENCODED[encoding]
    found = read(content)
    assert found.entries[0].reason == text.split("maria")[1].strip("\t;\r\n")
    assert found.understood()[0].startswith(f"encoding: {says}")
    assert found.understood()[1:] == [f"separator: {separator}", "columns: username, reason"]


def test_what_an_operator_chooses_overrules_what_was_found():
    content = "username,reason\nmaria,źle\n".encode("cp1250")
    assert read(content, encoding="cp1250").entries[0].reason == "źle"
    assert read(content, encoding="utf-8").problem == "it is not UTF-8: invalid start byte at byte 22, line 2"
    assert read(content, separator=";").problem.startswith(
        "line 1: the file needs a column telegram_user_id or username"
    )


@pytest.mark.parametrize(
    "header",
    [
        "Имя пользователя;Комментарий",
        "ІМ’Я КОРИСТУВАЧА;Причина",
        "Benutzername;Grund",
        "Nom d'utilisateur;Motif",
        "Nombre de usuario;Razón",
        "Nome de usuário;Observação",
        "Nome utente;Commento",
        "Nazwa użytkownika;Powód",
        "KULLANICI ADI;Açıklama",
    ],
)
def test_usual_words_of_other_languages_are_understood(header: str):
    assert read(f"{header}\n@petr_k;x\n".encode()).entries == [SuppressionEntry(None, "petr_k", IMPORT, "x")]


def test_a_name_in_a_column_that_is_not_read_is_shown():
    found = read("user id,Контакт\n7,@anna_k\n,@petr_k\n".encode())
    assert found.damaged.lines == [
        "line 3: @petr_k is in the column 'Контакт', which is not read: rename the column to username"
    ]


def test_of_two_columns_with_reasons_the_one_called_reason_is_read_and_two_ids_are_refused():
    assert read(b"id,notes,reason\n7,a,b\n").entries == [SuppressionEntry(7, "", IMPORT, "b")]
    assert "there are two columns telegram_user_id" in read(b"id,telegram id\n1,7\n").problem


def test_columns_that_are_not_read_are_shown():
    found = read(b"phone,Telegram ID,created_at\n1,7,x\n")
    assert found.understood()[2:] == ["columns: Telegram ID → telegram_user_id", "not read: phone, created_at"]


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("123456789", 123456789),
        (" 123456789\u00a0", 123456789),
        ("\u200e123456789", 123456789),
        ("'123456789", 123456789),
        ('="123456789"', 123456789),
        ("123456789.0", 123456789),
        ('"123456789,00"', 123456789),
        ("123 456 789", 123456789),
        ("123\u202f456\u00a0789", None),
        ("123\u00a0456\u00a0789", 123456789),
        ('"123,456,789"', 123456789),
        ("123.456.789", 123456789),
        ("123'456", 123456),
        ("123.456", None),
        ('"123,000"', None),
        ("1.23E+08", None),
        ('"1,23E+08"', None),
        ("1e9", None),
        ("#####", None),
        ("#NAME?", None),
        ("12.5", None),
        ("-100123", None),
        ("0", None),
        ("99999999999999999", None),
        ("12\0", None),
    ],
)
def test_an_id_is_taken_if_it_can_mean_one_person_only(cell: str, number: int | None):
    quoted = cell if cell.startswith('"') or "=" not in cell else '"' + cell.replace('"', '""') + '"'
    found = read(f"telegram_user_id\n{quoted}\n".encode())
    assert [entry.telegram_user_id for entry in found.entries] == ([] if number is None else [number])
    assert found.damaged.count == (number is None)


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        (
            "1.23E+08",
            "telegram_user_id '1.23E+08' is damaged: a spreadsheet has rounded the number. Format the column as text",
        ),
        ("8,76543E+09", "telegram_user_id '8,76543E+09' is damaged: a spreadsheet has rounded the number"),
        ("#ИМЯ?", "telegram_user_id '#ИМЯ?' is damaged: a spreadsheet shows this error instead of a value"),
        ("123.456", "telegram_user_id '123.456' may be damaged: '.' may separate thousands or decimals"),
    ],
)
def test_a_cell_that_a_spreadsheet_has_damaged_is_refused_with_the_cause(cell: str, says: str):
    assert read(f"telegram_user_id;x\n{cell};\n".encode()).damaged.lines[0].startswith(f"line 2: {says}")


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("@Maria_1", "Maria_1"),
        ("'@maria", "maria"),
        ("https://t.me/maria", "maria"),
        ("t.me/maria/", "maria"),
        ("HTTPS://Telegram.me/maria?start=1", "maria"),
        ("tg://resolve?domain=maria", "maria"),
        ("\ufeffmaria\u200b", "maria"),
        ("https://t.me/+AbCdEf", None),
        ("https://t.me/joinchat/AbC", None),
        ("https://t.me/c/123/4", None),
        ("https://example.com/maria", None),
        ("#NAME?", None),
        ("123456789", None),
        ("тея", None),
    ],
)
def test_a_username_is_taken_with_its_at_sign_or_as_a_link(cell: str, name: str | None):
    found = read(f"username\n{cell}\n".encode())
    assert [entry.username for entry in found.entries] == ([] if name is None else [name])
    assert found.damaged.count == (name is None)


@pytest.mark.parametrize(
    ("text", "damaged"),
    [
        ("telegram_user_id,reason\n7\n", "line 2: has 1 fields, but the header has 2"),
        ("telegram_user_id\nmaria\n", "line 2: telegram_user_id 'maria' is not the Telegram id of a person"),
        ("username\n501\n", "line 2: username '501' is not a Telegram username: enter Telegram ids in the column"),
        ("username,reason\n,x\n", "line 2: has neither a telegram_user_id nor a username"),
        ("username,source\nmaria,friend\n", "line 2: source 'friend' must be one of"),
        (f"username,reason\nmaria,{'x' * 301}\n", "line 2: the reason has 301 characters"),
        ("username,reason\nmaria,a\0b\n", "line 2: the reason contains a NUL character"),
        ('username,reason\nmaria,"two\nlines"\nno\n', "line 4: has 1 fields"),
    ],
)
def test_a_damaged_line_is_reported_and_the_others_are_read(text: str, damaged: str):
    header = text.partition("\n")[0]
    sound = "77" if header.startswith("tele") else "zoe_z"
    found = read(f"{text}{sound}{',' * header.count(',')}\n".encode())
    assert found.damaged.count == 1 and found.damaged.lines[0].startswith(damaged)
    assert found.entries[-1].telegram_user_id == 77 or found.entries[-1].username == "zoe_z"


def test_a_second_line_about_a_person_is_skipped():
    found = read(b"username\nmaria\n@MARIA\n")
    assert (len(found.entries), found.skipped.lines) == (1, ["line 3: is the same person as line 2"])


def test_every_line_is_counted_and_the_first_lines_are_shown():
    found = read(b"username\n" + b"1\n" * 500).damaged
    assert (found.count, len(found.lines), found.more) == (500, MOST_LISTED, 400)


XLSX = "it is a spreadsheet file (.xlsx, .ods) or another ZIP archive, not text: open it"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "line 1: the file needs a column telegram_user_id or username"),
        (b"reason\nx\n", "line 1: the file needs a column telegram_user_id or username; the first line has 'reason'"),
        (b"username,user name\na,b\n", "line 1: there are two columns username"),
        (b"username\n", "the file has a header but no people"),
        (b'username\n"maria\n', "line 2 is not valid CSV: "),
        (b"PK\x03\x04rest", XLSX),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "it is an old Office file (.xls)"),
        (b"username\n\xff\0\0\n", "it contains zero bytes and is neither UTF-8 nor UTF-16: it is not text"),
        ("username\nm".encode("utf-16")[:-1], "it is not UTF-16, little-endian: truncated data at byte"),
        (b"x" * (MOST_BYTES + 1), "it is larger than 20 MB"),
    ],
)
def test_what_cannot_be_read_at_all_is_refused_with_what_to_do(content: bytes, problem: str):
    assert read(content).problem.startswith(problem)


def test_the_first_rows_are_kept_as_they_stand_there():
    found: Any = read(b"username\n" + b"".join(b"name%d\n" % number for number in range(9)))
    assert [(row.line, row.cells) for row in found.sample][:2] == [(2, ["name0"]), (3, ["name1"])]
    assert len(found.sample) == 5
