import os
import sys
from typing import NoReturn

from django.core.wsgi import get_wsgi_application


def _end(line: object) -> NoReturn:
    sys.stderr.write(f"{line}\n")
    # Gunicorn ends after this exit code; after any other it would restart the worker forever.
    sys.exit(3)


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coolthing_site.settings")

try:
    application = get_wsgi_application()
except SystemExit as ended:
    # The configuration is not valid; `ended` contains the reason.
    _end(ended)

from vault.startup import problem  # noqa: E402 - needs the apps

if line := problem():
    _end(line)
