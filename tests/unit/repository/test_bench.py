"""The benchmark's tasks take what the product's do."""

import subprocess
import sys

from tests.support import ROOT

# In a process of its own: it subscribes to queues of the benchmark's.
_SIGNATURES = """
import inspect
from bench.ours_app import app, task_name
for lane in ("noop", "single"):
    print(list(inspect.signature(app.tasks[task_name(lane)].run).parameters))
"""


def test_the_task_of_the_bus_alone_takes_what_every_subscriber_takes():
    done = subprocess.run([sys.executable, "-c", _SIGNATURES], cwd=ROOT, check=True, capture_output=True, text=True)
    alone, single = done.stdout.splitlines()
    assert alone == single
