import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from campaigns import suppression_csv
from campaigns.models import Suppression
from campaigns.suppressing import suppressions_import, suppressions_known
from messaging.wording import counted
from vault.commands import SecretsCommand

STDIN = "-"


class Command(SecretsCommand):
    help = "Imports or exports the people whom nobody writes to again, as CSV (docs/people.md)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        taken = actions.add_parser("import", help="suppress everybody in a file; a file with a mistake is refused")
        taken.add_argument("file", metavar="FILE.csv", help="- reads standard input")
        taken.add_argument("--dry-run", action="store_true", help="check the file and count, change nothing")
        actions.add_parser("export", help="print everybody who is suppressed")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "import":
            self._import(options["file"], dry_run=options["dry_run"])
        else:
            self._export()

    def _import(self, file: str, *, dry_run: bool) -> None:
        try:
            content = sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes()
        except OSError as problem:
            raise CommandError(f"{file}: {problem.strerror}") from problem
        parsed = suppression_csv.parse(content)
        if parsed.problems:
            raise CommandError("\n".join(f"{file}: {problem}" for problem in parsed.problems))
        total = len(parsed.entries)
        if dry_run:
            known = suppressions_known(parsed.entries)
            already = counted(known, "is", "are")
            self.stdout.write(f"{file}: {total - known} would be suppressed, {already} already; nothing was changed")
        else:
            new = suppressions_import(entries=parsed.entries)
            now, before = counted(new, "is", "are"), counted(total - new, "was", "were")
            self.stdout.write(f"{file}: {now} suppressed now, {before} already")

    def _export(self) -> None:
        for line in suppression_csv.lines():
            self.stdout.write(line, ending="")
        erased = Suppression.objects.exclude(person_hash="").count()
        if erased:
            self.stderr.write(f"{erased} erased people are not in it: they are only known by a hash.")
