from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from scripts.errors import ScriptsError
from scripts.models import ScriptForCampaign
from scripts.services import sfc_activate
from vault.commands import SecretsCommand


class Command(SecretsCommand):
    help = "Activates a campaign's script and prints the id under which its progress can be followed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--campaign", required=True, metavar="SLUG")
        parser.add_argument("--script", required=True, metavar="SLUG")

    def handle(self, *args: Any, **options: Any) -> None:
        campaign, script = options["campaign"], options["script"]
        try:
            sfc = ScriptForCampaign.objects.get(campaign__slug=campaign, script__slug=script)
            sfc = sfc_activate(sfc_id=sfc.pk)
        except ScriptForCampaign.DoesNotExist as error:
            raise CommandError(f'campaign "{campaign}" has no script "{script}"') from error
        except ScriptsError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{sfc.pk} {sfc.state}")
