from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from vault.rotation import BATCH, Rotated, rotate


class Command(BaseCommand):
    help = (
        "Encrypt every stored secret anew with the first key of FIELD_ENCRYPTION_KEYS. Workers may go on meanwhile, "
        "once all of them know both keys; stopped in the middle, it goes on where it was when it is called again."
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
                self.stderr.write(f"{column.column}: {len(column.unreadable)} that no key decrypts: {shown}")
        if any(column.unreadable for column in done):
            raise CommandError("not everything can be read: add the key that wrote it to FIELD_ENCRYPTION_KEYS")
        if any(column.rotated or column.overtaken for column in done):
            raise CommandError("some process still writes with an older key: restart it, then call this again")
        self.stdout.write(self.style.SUCCESS("Everything is encrypted with the first key; the others can go."))

    def _progress(self, column: Rotated) -> None:
        if column.rotated or column.unreadable:
            self.stdout.write(f"{column.column}: {column.seen} looked at, {column.rotated} encrypted anew")
