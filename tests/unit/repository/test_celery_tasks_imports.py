"""What importing every Celery task loads: beat and all workers do that."""

import os
import subprocess
import sys

from tests.support import ROOT


def test_only_a_bots_worker_loads_telethon():
    """It takes tens of megabytes in each process."""
    code = (
        "import sys\n"
        "from coolthing_site.celery import app\n"
        "app.loader.import_default_modules()\n"
        "assert {'bots.tasks', 'bots.celery_worker', 'leads.tasks'} <= sys.modules.keys()\n"
        "print([name for name in sys.modules if name.split('.')[0] == 'telethon'])"
    )
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "coolthing_site.settings"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True, env=env)
    assert done.stdout.strip() == "[]"
