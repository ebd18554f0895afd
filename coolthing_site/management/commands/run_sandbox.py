"""Run the local Telegram server, the local LLM endpoint and the simulated people."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from sandbox.__main__ import add_arguments, config_from, run


class Command(BaseCommand):
    help = __doc__
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_arguments(
            parser,
            mtproto_port=settings.SANDBOX_MTPROTO_PORT,
            http_port=settings.SANDBOX_HTTP_PORT,
            key_dir=settings.BASE_DIR / ".run" / "sandbox",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        sys.exit(run(config_from(options)))
