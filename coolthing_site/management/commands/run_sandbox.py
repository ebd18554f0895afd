"""Run the local Telegram server, the local LLM endpoint and the simulated people."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from sandbox.__main__ import add_arguments, run


class Command(BaseCommand):
    help = __doc__
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        run(options)
