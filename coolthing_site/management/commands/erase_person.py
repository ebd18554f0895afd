import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from campaigns.erasing import StillLeaving, person_erase, person_named
from panelkit import audit
from panelkit.errors import NotPossible
from panelkit.rights import Shell
from privacy.exporting import Found, person_find
from privacy.person import Person
from texts.wording import counted
from vault.commands import SecretsCommand

# How long, and how often, the command waits for messages that are being sent (seconds).
WAIT_AT_MOST, PAUSE = 60.0, 1.0


class Command(SecretsCommand):
    help = "Erase all personal data of a person. CoolThing never writes to this person again (docs/people.md)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("person", metavar="ID|@name", help="a Telegram id, or a username with its @")
        parser.add_argument("--dry-run", action="store_true", help="count the rows without changing anything")
        parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            person = person_named(options["person"])
            self._print(person_find(person))
            if options["dry_run"]:
                self.stdout.write("nothing was changed")
            elif options["yes"] or self._agreed():
                self._erase(person)
            else:
                raise CommandError("nothing was changed")
        except NotPossible as refusal:
            raise CommandError(str(refusal)) from refusal

    def _print(self, found: Found) -> None:
        for kind, count in found.counts.items():
            if count:
                self.stdout.write(f"{count:>7}  {kind}")
        self.stdout.write(f"{found.total:>7}  rows in total")
        for note in found.notes:
            self.stdout.write(f"note: {note}")

    def _agreed(self) -> bool:
        try:
            return input("Erase all these data permanently? Type yes: ").strip().lower() == "yes"
        except EOFError:
            return False

    def _erase(self, person: Person) -> None:
        deadline = time.monotonic() + WAIT_AT_MOST
        while True:
            try:
                counts, suppression = person_erase(person, by=Shell())
                break
            except StillLeaving as leaving:
                if time.monotonic() > deadline:
                    raise
                self.stderr.write(str(leaving))
                time.sleep(PAUSE)
        by = audit.command_line_name()
        audit.record(suppression, message=f"Erased by {by}.", user_id=audit.command_line_user_id())
        erased = counted(sum(counts.values()), "row")
        self.stdout.write(f"erased: {erased}; CoolThing keeps a hash, so that it never writes to this person again")
