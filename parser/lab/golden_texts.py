"""Adds texts to golden sets: by hand, from verdicts, from a table; and writes a golden set as a table."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from campaigns.models import Campaign
from campaigns.policy.locks import erasures_lock_shared
from messaging.database.locks import rows_lock
from messaging.wire import unstorable
from panelkit.errors import NotPossible
from parser.lab.golden import MOST_GOLDEN_TEXTS
from parser.models import GoldenText, Verdict
from texts.decoding import NotText, decode
from texts.tables import NoTable, Row, harmless, plain, rows, separator_of

Source = GoldenText.Source
# Characters: as long as Telegram lets a message be, in its longest form.
LONGEST_TEXT = 10_000
MOST_BYTES = 5 * 2**20
COLUMNS = ("text", "wanted")
_TRUE = {"yes", "y", "true", "1", "wanted", "hit", "да", "ja", "oui", "sí", "si", "tak"}
_FALSE = {"no", "n", "false", "0", "unwanted", "no hit", "нет", "nein", "non", "nie"}
# Problems of a file that are listed.
_MOST_LISTED = 10


@dataclass(frozen=True)
class NewGoldenText:
    text: str
    wanted: bool
    telegram_user_id: int | None = None


@dataclass(frozen=True)
class AddedTexts:
    """How many texts are new, and how many were there with the other answer."""

    new: int = 0
    changed: int = 0


@transaction.atomic
def golden_texts_add(
    *, campaign_id: UUID, texts: Iterable[NewGoldenText], source: str, by: str, replace: bool = True
) -> AddedTexts:
    """Add the texts. One that is there already gets the new answer, or keeps its own unless `replace`.

    Raises NotPossible, and adds nothing, if a text is empty, too long or cannot be stored, or if the set would be too
    large.
    """
    wanted = {entry.text.strip(): entry for entry in texts}
    for text in wanted:
        if problem := text_problem(text):
            raise NotPossible(problem)
    rows_lock(Campaign.objects.filter(pk=campaign_id))
    known = {row.text: row for row in GoldenText.objects.filter(campaign_id=campaign_id).order_by("pk")}
    new = [
        GoldenText(
            campaign_id=campaign_id,
            text=text,
            wanted=entry.wanted,
            telegram_user_id=entry.telegram_user_id,
            source=source,
            by=by,
        )
        for text, entry in wanted.items()
        if text not in known
    ]
    if len(known) + len(new) > MOST_GOLDEN_TEXTS:
        raise NotPossible(f"A golden set has at most {MOST_GOLDEN_TEXTS:,} texts. Delete some of them first.")
    changed = [known[text] for text, entry in wanted.items() if text in known and known[text].wanted != entry.wanted]
    if not replace:
        changed = []
    for row in changed:
        row.wanted = not row.wanted
    GoldenText.objects.bulk_update(sorted(changed, key=lambda row: row.pk), ["wanted"])
    GoldenText.objects.bulk_create(new)
    return AddedTexts(len(new), len(changed))


@transaction.atomic
def golden_texts_add_judged(*, campaign_id: UUID, by: str) -> AddedTexts:
    """Add the texts of the newest judged hits, as many as fit: good ones are wanted. Texts that are there stay."""
    # Otherwise the text of a person who is erased at this moment would come back.
    erasures_lock_shared()
    room = MOST_GOLDEN_TEXTS - GoldenText.objects.filter(campaign_id=campaign_id).count()
    there = GoldenText.objects.filter(campaign_id=campaign_id).values("text")
    judged = Verdict.objects.filter(hit__campaign_id=campaign_id).exclude(hit__text__in=there).order_by("-at")
    columns = judged.values_list("hit__text", "value", "hit__telegram_user_id")[: max(room, 0)]
    texts = [
        NewGoldenText(text, value == Verdict.Value.GOOD, author) for text, value, author in columns if text.strip()
    ]
    # The newest verdict on a text counts.
    return golden_texts_add(campaign_id=campaign_id, texts=texts[::-1], source=Source.VERDICT, by=by, replace=False)


def golden_text_delete(*, campaign_id: UUID, text_id: int) -> bool:
    """Returns whether the text was there."""
    return bool(GoldenText.objects.filter(campaign_id=campaign_id, pk=text_id).delete()[0])


def text_problem(text: str) -> str:
    """Why this cannot be a golden text; "" if it can."""
    if not text.strip():
        return "The text is empty."
    if len(text) > LONGEST_TEXT:
        return f"The text has {len(text):,} characters; {LONGEST_TEXT:,} are possible."
    problem = unstorable(text)
    return f"The text {problem}." if problem else ""


def golden_texts_import(*, campaign_id: UUID, content: bytes, by: str) -> AddedTexts:
    """Add the texts of a table that a spreadsheet has saved, with the columns `text` and `wanted` (yes or no).

    Raises NotPossible, and adds nothing, if the file cannot be read as a whole; the message names the lines.
    """
    return golden_texts_add(campaign_id=campaign_id, texts=texts_read(content), source=Source.FILE, by=by)


def texts_read(content: bytes) -> list[NewGoldenText]:
    if len(content) > MOST_BYTES:
        raise NotPossible(f"The file is larger than {MOST_BYTES // 2**20} MB: split it into several files.")
    try:
        text = decode(content, "").text
        table = rows(text, separator_of(text, lambda cell: _column(cell) in COLUMNS))
        header = [_column(cell) for cell in next(table, Row(1, [])).cells]
        if sorted(name for name in header if name in COLUMNS) != sorted(COLUMNS):
            raise NoTable("line 1: the header has to contain the columns text and wanted, each once")
        return _entries(header, list(table))
    except (NotText, NoTable) as problem:
        raise NotPossible(f"Nothing was imported: {problem}.") from None


def _entries(header: list[str], table: list[Row]) -> list[NewGoldenText]:
    entries, problems = [], []
    for row in table:
        cells = dict(zip(header, map(plain, row.cells), strict=False))
        text, answer = cells.get("text", ""), cells.get("wanted", "").casefold()
        if problem := text_problem(text):
            problems.append(f"line {row.line}: {problem}")
        elif answer not in _TRUE | _FALSE:
            problems.append(f"line {row.line}: wanted is {answer[:20]!r}; write yes or no.")
        else:
            entries.append(NewGoldenText(text, answer in _TRUE))
    if problems:
        more = f" And {len(problems) - _MOST_LISTED} more." if len(problems) > _MOST_LISTED else ""
        raise NotPossible(f"Nothing was imported. {' '.join(problems[:_MOST_LISTED])}{more}")
    return entries


def _column(cell: str) -> str:
    return cell.strip().strip("\ufeff").casefold()


def golden_texts_as_csv(*, campaign_id: UUID) -> Iterator[str]:
    """The golden set as a table that `golden_texts_import` and spreadsheets read. Begins with a byte order mark."""
    yield "\ufeff" + _line([*COLUMNS, "source"])
    found = GoldenText.objects.filter(campaign_id=campaign_id).order_by("pk")
    for text, wanted, source in found.values_list("text", "wanted", "source").iterator():
        yield _line([harmless(text), "yes" if wanted else "no", source])


def _line(cells: list[str]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out).writerow(cells)
    return out.getvalue()
