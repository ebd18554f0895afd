import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from campaigns.models import Suppression
from campaigns.suppressions.bulk import suppressions_import, suppressions_known
from campaigns.suppressions.csv_files import MOST_BYTES, ParsedFile, lines, read
from texts.decoding import ENCODINGS
from texts.tables import SEPARATORS
from texts.wording import counted
from vault.commands import SecretsCommand

STDIN = "-"


class Command(SecretsCommand):
    help = "Import or export suppressions (people to whom CoolThing never writes again) as CSV (docs/people.md)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        taken = actions.add_parser("import", help="suppress all people in a file; a file with damaged lines is refused")
        taken.add_argument("file", metavar="FILE.csv", help="- reads standard input")
        taken.add_argument(
            "--dry-run", action="store_true", help="show what the file contains without changing anything"
        )
        taken.add_argument("--skip-damaged", action="store_true", help="skip damaged lines")
        taken.add_argument(
            "--encoding",
            default="",
            choices=list(ENCODINGS),
            help="the file's encoding, if it is not recognised correctly",
        )
        taken.add_argument(
            "--separator",
            default="",
            choices=list(SEPARATORS.values()),
            help="the file's separator, if it is not recognised correctly",
        )
        actions.add_parser("export", help="print all suppressed people")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "import":
            self._import(options)
        else:
            self._export()

    def _import(self, options: dict[str, Any]) -> None:
        file, dry_run = options["file"], options["dry_run"]
        separator = next((sign for sign, name in SEPARATORS.items() if name == options["separator"]), "")
        reading = read(_content(file), encoding=options["encoding"], separator=separator)
        if reading.problem:
            raise CommandError(f"{file}: {reading.problem}")
        known = suppressions_known(reading.entries)
        self._report(file, reading, known)
        refused = bool(reading.damaged.count) and not options["skip_damaged"]
        if refused or dry_run:
            damaged = counted(reading.damaged.count, "line is", "lines are")
            if refused:
                raise CommandError(
                    f"{file}: {damaged} damaged, nothing was changed: correct them, or use --skip-damaged"
                )
            self.stdout.write(f"{file}: nothing was changed")
            return
        new = suppressions_import(entries=reading.entries)
        now, before = counted(new, "is", "are"), counted(len(reading.entries) - new, "was", "were")
        self.stdout.write(f"{file}: {now} now suppressed, {before} suppressed before")

    def _report(self, file: str, reading: ParsedFile, known: int) -> None:
        for line in reading.understood():
            self.stdout.write(f"{file}: {line}")
        for what, notes in (("damaged", reading.damaged), ("skipped", reading.skipped)):
            for line in notes.lines:
                self.stdout.write(f"{file}: {what}: {line}")
            if notes.more:
                self.stdout.write(f"{file}: {what}: and {notes.more} more")
        already = counted(known, "is", "are")
        self.stdout.write(
            f"{file}: {len(reading.entries) - known} would be suppressed, {already} already suppressed,"
            f" {reading.damaged.count} damaged, {reading.skipped.count} skipped"
        )

    def _export(self) -> None:
        for line in lines():
            self.stdout.write(line, ending="")
        erased = Suppression.objects.exclude(person_hash="").count()
        if erased:
            people = counted(erased, "erased person is", "erased people are")
            self.stderr.write(f"{people} not in the export: CoolThing keeps only a hash of each.")


def _content(file: str) -> bytes:
    """The file's content, up to one byte more than is allowed: that is enough to refuse the file."""
    try:
        if file == STDIN:
            return sys.stdin.buffer.read(MOST_BYTES + 1)
        with Path(file).open("rb") as opened:
            return opened.read(MOST_BYTES + 1)
    except OSError as problem:
        raise CommandError(f"{file}: {problem.strerror}") from problem
