import os
import sys

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coolthing_site.settings")

application = get_wsgi_application()

from vault.startup import problem  # noqa: E402 - needs the apps

if line := problem():
    sys.stderr.write(f"{line}\n")
    # Gunicorn ends at this code; at any other it would start the worker again, for ever.
    sys.exit(3)
