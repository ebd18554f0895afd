"""Unlock an account or address that is locked out after too many failed logins."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from coolthing_site.web.client_address import counting_address, parsed
from coolthing_site.web.login_limits import unlock


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username", nargs="?", default="", help="the account, as it was typed at the login")
        parser.add_argument("--address", default="", help="the locked address; without an account, for all accounts")

    def handle(self, *args: Any, **options: Any) -> None:
        username, address = options["username"], options["address"]
        if not (username or address):
            raise CommandError("give an account, an --address, or both")
        if address:
            found = parsed(address)
            if found is None:
                raise CommandError(f"{address} is not an IP address")
            address = str(counting_address(found))
        self.stdout.write(f"{unlock(username=username, address=address)} counters of failed logins deleted")
