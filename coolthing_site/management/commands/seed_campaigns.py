from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from coolthing_site.seeding.problems import SeedError
from coolthing_site.seeding.reading import read
from coolthing_site.seeding.seeder import write
from vault.commands import SecretsCommand
from vault.fields import UnreadableSecret


class Command(SecretsCommand):
    help = "Create and update bots, chats, budgets, campaigns and their scripts from a YAML file (docs/seeding.md)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE.yaml")
        parser.add_argument("--dry-run", action="store_true", help="show what would change without changing anything")

    def handle(self, *args: Any, **options: Any) -> None:
        file, dry_run = options["file"], options["dry_run"]
        try:
            report = write(read(file), file=file, dry_run=dry_run)
        except (SeedError, UnreadableSecret) as error:
            raise CommandError(str(error)) from error
        if options["verbosity"] == 0:
            return
        for line in report.lines():
            self.stdout.write(line)
        if report.changes_nothing:
            self.stdout.write(f"{file}: nothing to change")
        elif dry_run:
            self.stdout.write(f"{file}: dry run, nothing was changed")
