"""The memory that matching takes, each figure in a process of its own."""

import subprocess
import sys

_RSS = """
def rss():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20
"""
_LANGUAGES = f"""
{_RSS}
import parser.keywords.index
from texts.words.languages import LANGUAGES
before = rss()
from texts.words.forms import forms_of
for code in LANGUAGES:
    for word in ("дом", "працювати", "house", "Haus", "maison", "casa", "dom", "ev"):
        forms_of(word.lower(), [code])
print(rss() - before)
"""
_IMPORTED = f"""
{_RSS}
import sys
before = rss()
import parser.keywords.index
assert not {{"pymorphy3", "simplemma", "marisa_trie"}} & sys.modules.keys(), "linguistics are loaded without need"
print(rss() - before)
"""


def _measured(program: str) -> float:
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return round(float(done.stdout), 1)


def figures() -> dict[str, float]:
    """MiB of all languages' dictionaries once loaded; MiB of the engine in a process that compiles no keywords."""
    return {"all_languages": _measured(_LANGUAGES), "without_keywords": _measured(_IMPORTED)}
