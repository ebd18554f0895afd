from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from vault.rotation import BATCH, Rotated, rotate


class Command(BaseCommand):
    help = (
        "Encrypt all stored secrets again with the first key of FIELD_ENCRYPTION_KEYS. Workers may run meanwhile if "
        "they have both keys. If the command is interrupted, call it again: it continues where it stopped."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--batch", type=int, default=BATCH, help="rows at once (default %(default)s)")

    def handle(self, *, batch: int, **options: Any) -> None:
        if batch < 1:
            raise CommandError("--batch must be at least 1")
        done = rotate(on_progress=self._progress, batch=batch)
        for column in done:
            if column.unreadable:
                shown = ", ".join(column.unreadable[:10])
                self.stderr.write(f"{column.column}: no key decrypts {len(column.unreadable)} values: {shown}")
        if any(column.unreadable for column in done):
            raise CommandError("no key decrypts some of the values: add their key to FIELD_ENCRYPTION_KEYS")
        if any(column.rotated or column.overtaken for column in done):
            raise CommandError("a process still encrypts with an older key: restart it, then call this command again")
        self.stdout.write(
            self.style.SUCCESS("All secrets are encrypted with the first key. You can remove the other keys.")
        )

    def _progress(self, column: Rotated) -> None:
        if column.rotated or column.unreadable:
            self.stdout.write(f"{column.column}: {column.seen} values read, {column.rotated} encrypted again")
