"""Word families of Debian's Hunspell dictionaries (packages hunspell-ru, -uk, -de-de, -es, -fr and -pl).

A dictionary (.dic) has a base word a line with flags; the rules of a flag (.aff, SFX) make the word's forms. Prefixes
and compounds are left out. The format is described in hunspell(5).
"""

import random
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from texts.words.folding import fold

FOLDER = Path("/usr/share/hunspell")
FILES = {"ru": "ru_RU", "uk": "uk_UA", "de": "de_DE", "es": "es_ES", "fr": "fr", "pl": "pl_PL"}
# Flags of entries that are not words by themselves.
_NO_WORDS = ("ONLYINCOMPOUND", "FORBIDDENWORD", "CIRCUMFIX", "NEEDAFFIX")


@dataclass(frozen=True)
class Suffix:
    """Words that match `condition` lose `strip` and get `add`."""

    strip: str
    add: str
    condition: re.Pattern[str]

    def applies(self, word: str) -> bool:
        return word.endswith(self.strip) and self.condition.search(word) is not None


class Spelling:
    """The dictionary of a language."""

    def __init__(self, code: str) -> None:
        rules = (FOLDER / f"{FILES[code]}.aff").read_bytes()
        found = re.search(rb"^SET\s+(\S+)", rules, re.MULTILINE)
        assert found, "the dictionary does not declare its encoding"
        encoding = found[1].decode().replace("ISO8859", "iso8859")
        self._rules = rules.decode(encoding, "replace")
        self._long_flags = self._option("FLAG") == "long"
        self._no_word = {flag for name in _NO_WORDS if (flag := self._option(name))}
        self._needs_affix = self._option("NEEDAFFIX")
        self._suffixes = self._read_suffixes()
        # Elsewhere, a capital letter begins a name.
        self._capitals = code == "de"
        self._words = (FOLDER / f"{FILES[code]}.dic").read_bytes().decode(encoding, "replace")

    def families(self, *, count: int, longest: int, seed: int) -> dict[str, set[str]]:
        """A sample of base words of 3 to `longest` letters, without names, and their forms, all folded.

        Equal base words (the noun and the verb) are one family.
        """
        flags: defaultdict[str, set[str]] = defaultdict(set)
        for word, its_flags in self._bases():
            if 3 <= len(word) <= longest and _is_word(word) and (self._capitals or word.islower()):
                flags[word] |= its_flags
        # The Russian dictionary also has words with ё written with е, to which its rules do not apply: "питьеа".
        wrong = {word.replace("ё", "е") for word in flags if "ё" in word}
        inflected = sorted(word for word in flags.keys() - wrong if flags[word] & self._suffixes.keys())
        families: defaultdict[str, set[str]] = defaultdict(set)
        for word in random.Random(seed).sample(inflected, count):
            families[fold(word)] |= {fold(form) for form in self._forms(word, flags[word]) if _is_word(form)}
        return {base: forms for base, forms in families.items() if len(forms) > 1}

    def _bases(self) -> Iterator[tuple[str, set[str]]]:
        for line in self._words.splitlines()[1:]:
            entry = line.split("\t")[0].split(" ")[0]
            word, _, flags = entry.partition("/")
            split = self._flags(flags)
            # French marks bases as needing a suffix that may be empty; they are words.
            if not split & (self._no_word - {self._needs_affix if self._long_flags else ""}):
                yield word, split

    def _forms(self, word: str, flags: set[str]) -> set[str]:
        suffixes = [suffix for flag in flags for suffix in self._suffixes.get(flag, ())]
        return {word} | {word.removesuffix(each.strip) + each.add for each in suffixes if each.applies(word)}

    def _read_suffixes(self) -> dict[str, list[Suffix]]:
        suffixes: defaultdict[str, list[Suffix]] = defaultdict(list)
        for line in re.findall(r"^SFX\s+(.*)", self._rules, re.MULTILINE):
            flag, strip, add, *rest = line.split()
            add, _, flags = add.partition("/")
            if (strip in "YN" and add.isdigit()) or self._flags(flags) & self._no_word:
                continue
            condition = re.compile(f"(?:{rest[0] if rest else '.'})$")
            suffixes[flag].append(Suffix(strip.strip("0"), add.strip("0"), condition))
        return dict(suffixes)

    def _flags(self, text: str) -> set[str]:
        return {text[at : at + 2] for at in range(0, len(text), 2)} if self._long_flags else set(text)

    def _option(self, name: str) -> str:
        found = re.search(rf"^{name}\s+(\S+)", self._rules, re.MULTILINE)
        return found[1] if found else ""


def _is_word(text: str) -> bool:
    """Whether the text consists of letters (and apostrophes), and is no abbreviation."""
    return text.replace("'", "").isalpha() and not (len(text) > 1 and text.isupper())
