from typing import Any

from django.core.management.base import BaseCommand

from coolthing_site.renamed_models import renamed_models_merge


class Command(BaseCommand):
    help = (
        "Move the permissions and the panel's history of renamed models to the new names, if processes of an older"
        " version recorded them under the old names. Run this command after an upgrade, when no such process runs any"
        " more. A second run changes nothing."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        for merged in renamed_models_merge():
            self.stdout.write(f"{merged.app_label}: merged {merged.old} into {merged.new}")
