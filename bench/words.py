"""`python -m bench.words`: the memory of a process without and with dictionaries, and the time for a word's forms."""

import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_PAGE = 4096


def resident_mb() -> float:
    """The resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * _PAGE / 2**20, 1)


def _mapped_mb() -> float:
    """The part of the resident memory that is pages of files, which all processes share."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssFile")]
    return round(int(line.split()[1]) / 2**10, 1)


def memory() -> dict[str, float]:
    """Figures of a new process in megabytes, and microseconds for the forms of a word.

    `without_mb`: what matches messages is imported. `loaded_mb`: all dictionaries are loaded.
    `with_all_mb`: ten thousand different words of all languages have been looked up in all of them.
    """
    done = subprocess.run([sys.executable, "-m", "bench.words", "--here"], cwd=ROOT, capture_output=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _measure() -> dict[str, float]:
    import parser.keywords.compiling
    import parser.keywords.index  # noqa: F401

    without = resident_mb()
    loaded = [name for name in ("pymorphy3", "marisa_trie", "simplemma") if name in sys.modules]
    assert not loaded, f"{loaded} are imported where no keyword is compiled"
    from texts.words.forms import forms_of
    from texts.words.languages import LANGUAGES

    for code in LANGUAGES:
        forms_of("дом" if LANGUAGES[code].script == "cyrillic" else "hotel", [code])
    loaded_mb = resident_mb()
    words = _words()
    began = time.process_time()
    for word in words:
        forms_of(word, [])
    microseconds = (time.process_time() - began) / len(words) * 1e6
    return {
        "without_mb": without,
        "loaded_mb": loaded_mb,
        "with_all_mb": resident_mb(),
        "of_which_mapped_files_mb": _mapped_mb(),
        "microseconds_a_word": round(microseconds),
    }


def _words() -> list[str]:
    """Ten thousand different words of all languages with a dictionary."""
    from texts.words.languages import with_table
    from texts.words.morphology import morphology
    from texts.words.tables import table

    words = []
    for code in with_table():
        trie = table(code)._trie
        words += [trie.restore_key(number) for number in range(0, len(trie), len(trie) // 1000)][:1000]
    for code in ("ru", "uk"):
        known = morphology(code)._analyzer.dictionary.words
        letters = ("к", "п", "с", "в")
        words += [word for letter in letters for word in known.keys(letter + "а")[::40]][:1000]
    return words


if __name__ == "__main__":
    print(json.dumps(_measure() if "--here" in sys.argv else memory(), indent=2))
