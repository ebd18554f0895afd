import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.core.serializers.json import DjangoJSONEncoder

from campaigns.erasing import person_named
from panelkit.errors import NotPossible
from panelkit.rights import Shell
from privacy.exporting import person_export
from vault.commands import SecretsCommand


class Command(SecretsCommand):
    help = "Export all personal data of a person as JSON (docs/people.md)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("person", metavar="ID|@name", help="a Telegram id, or a username with its @")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            data = person_export(person_named(options["person"]), by=Shell())
        except NotPossible as refusal:
            raise CommandError(str(refusal)) from refusal
        self.stdout.write(json.dumps(data, indent=2, ensure_ascii=False, cls=DjangoJSONEncoder))
