"""The kernel's figures of a process."""

import os
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
# Fields of /proc/PID/stat after the command's closing bracket: state is 0.
_UTIME, _STIME, _THREADS = 11, 12, 17


def cpu_seconds(pid: int) -> float:
    """The processor time of all threads of the process, in user and kernel mode."""
    fields = _stat(pid)
    return (int(fields[_UTIME]) + int(fields[_STIME])) / _TICK


def threads(pid: int) -> int:
    return int(_stat(pid)[_THREADS])


def rss_mb(pid: int) -> float:
    """Resident memory now, in MiB."""
    return _status(pid, "VmRSS")


def peak_rss_mb(pid: int) -> float:
    """The peak of resident memory, in MiB."""
    return _status(pid, "VmHWM")


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _status(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    kib = next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
    return round(kib / 1024, 1)
