"""What `manage.py` does whatever the command is."""

import os
import subprocess
import sys

import pytest

from tests.support import ROOT


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_nobody_reads_to_its_end_ends_the_command_without_a_traceback(unbuffered: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    command = [sys.executable, "manage.py", "help"]
    ended = subprocess.run(command, cwd=ROOT, env=environment, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (1, b"")


def test_a_broken_pipe_elsewhere_is_an_error_like_any_other() -> None:
    broken = "import manage, django.core.management as it\ndef fail(_): raise BrokenPipeError('a socket')\n"
    code = f"{broken}it.execute_from_command_line = fail\nmanage.main()"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 1 and ended.stderr.endswith("BrokenPipeError: a socket\n")


def test_ctrl_c_ends_a_command_without_a_traceback_wherever_it_stands() -> None:
    stopped = "import manage, django.core.management as it\ndef stop(_): raise KeyboardInterrupt\n"
    code = f"{stopped}it.execute_from_command_line = stop\nmanage.main()"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")
