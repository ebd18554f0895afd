import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coolthing_site.settings")

application = get_asgi_application()

from vault.startup import exit_unless_readable  # noqa: E402 - needs the apps

exit_unless_readable()
