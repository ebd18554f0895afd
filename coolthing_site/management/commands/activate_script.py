from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from scripts.errors import ScriptsError
from scripts.models import Assignment
from scripts.selectors import assignment_current
from scripts.services import assignment_activate
from vault.commands import SecretsCommand


class Command(SecretsCommand):
    help = "Activate a campaign's script. Prints the assignment's id and state. You need the id to query the progress."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--campaign", required=True, metavar="SLUG")
        parser.add_argument("--script", required=True, metavar="SLUG")

    def handle(self, *args: Any, **options: Any) -> None:
        campaign, script = options["campaign"], options["script"]
        assignment = assignment_current(Assignment.objects.filter(campaign__slug=campaign, script__slug=script))
        if assignment is None:
            raise CommandError(f'script "{script}" is not assigned to campaign "{campaign}"')
        try:
            assignment = assignment_activate(assignment_id=assignment.pk)
        except ScriptsError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{assignment.pk} {assignment.state}")
