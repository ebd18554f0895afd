#!/usr/bin/env python3
import os
import select
import sys

INTERRUPTED = 130  # exit code: 128 and the number of SIGINT


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coolthing_site.settings")
    try:
        _execute()
    except KeyboardInterrupt:
        # Ctrl-C is how people end a command, wherever it stands.
        sys.exit(INTERRUPTED)


def _execute() -> None:
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
        sys.stdout.flush()
    except ImproperlyConfigured as error:
        sys.exit(f"configuration: {error}")
    except BrokenPipeError:
        # A socket's is an error like any other.
        if not _reader_has_gone():
            raise
        # Nothing is left for Python to flush, and to complain about, at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _reader_has_gone() -> bool:
    """Whether whoever was to read the output has had enough of it: `manage.py … | head`."""
    pipe = select.poll()
    pipe.register(sys.stdout, 0)
    return any(event & select.POLLERR for _, event in pipe.poll(0))


if __name__ == "__main__":
    main()
