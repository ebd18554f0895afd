"""`python -m texts.words [CODE…]`: build the word tables that are missing, for these languages or for all."""

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from texts.words.languages import with_table
from texts.words.tables import TableUnavailable, ensure


def main(codes: Sequence[str]) -> str | None:
    """What went wrong, if anything did."""
    languages = with_table()
    if unknown := [code for code in codes if code not in languages]:
        return f"no word table is built for {', '.join(unknown)}, only for {', '.join(languages)}"
    # Each table is built by a process of its own.
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        building = [threads.submit(ensure, code) for code in codes or languages]
    failures = [failure for each in building if isinstance(failure := each.exception(), TableUnavailable)]
    return "\n".join(map(str, failures)) or None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
