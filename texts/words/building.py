"""Builds a word table from simplemma's dictionary: `python -m texts.words.building CODE FOLDER`.

simplemma's dictionary gives the lemma of a form, but that lemma may have a lemma of its own. Forms with the same lemma
of the lemma are a group. The dictionary is read three times as a stream instead of once into a dict, which would take
425 MB for Polish.
"""

import json
import lzma
import os
import shutil
import sys
from array import array
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import marisa_trie
from simplemma.strategies.dictionaries import frontcode
from simplemma.strategies.dictionaries.dictionary_factory import DATA_FOLDER

from texts.words.endings import learn
from texts.words.folding import fold
from texts.words.tables import SEVERAL


class Dictionary:
    """The shipped dictionary of a language, as a stream."""

    def __init__(self, code: str) -> None:
        with lzma.open(DATA_FOLDER / f"{code}.plzma", "rb") as file:
            self._data = file.read()
        reverse, _, self._start = frontcode._read_header(self._data)
        if reverse:
            raise ValueError(f"the dictionary of {code} has reversed keys, which this version cannot read")
        lemmas = {lemma for _, _, lemma in self._records()}
        # The lemmas of lemmas, where a lemma is in the dictionary itself.
        self._again = {form: lemma for _, form, lemma in self._records() if form in lemmas}
        self._missing = sorted(lemmas - self._again.keys())

    def _records(self) -> Iterator[tuple[int, bytes, bytes]]:
        return frontcode._iter_records(self._data, self._start)

    def forms(self) -> Iterator[tuple[str, bytes]]:
        """Each folded form with the lemma of its lemma. A form may come several times."""
        again = self._again
        for _, form, lemma in self._records():
            yield fold(form.decode()), again.get(lemma, lemma)
        for lemma in self._missing:
            yield fold(lemma.decode()), lemma


def build(code: str, target: Path) -> None:
    """Write the table of a language into `target`, which appears only when it is complete."""
    dictionary = Dictionary(code)
    trie = marisa_trie.Trie(form for form, _ in dictionary.forms())
    groups, several, lemmas = _groups(dictionary, trie)
    starts, members = _members(groups, several, lemmas)
    unfinished = target.with_name(f"{target.name}.{os.getpid()}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    trie.save(str(unfinished / "forms.trie"))
    parts = {"groups": groups, "several": several, "starts": starts, "members": members}
    for name, numbers in parts.items():
        (unfinished / f"{name}.bin").write_bytes(numbers.tobytes())
    words = (map(trie.restore_key, members[start:end]) for start, end in pairwise(starts))
    endings = learn(words, lemmas)
    (unfinished / "endings.json").write_text(json.dumps(endings, ensure_ascii=False), "utf-8")
    unfinished.rename(target)


def _groups(dictionary: Dictionary, trie: marisa_trie.Trie) -> tuple[array, array, int]:
    """For each form its group or a reference into the second array, the second array, and the number of groups."""
    numbers: dict[bytes, int] = {}
    none = SEVERAL - 1
    groups = array("I", [none]) * len(trie)
    more: dict[int, list[int]] = {}
    for form, lemma in dictionary.forms():
        group = numbers.setdefault(lemma, len(numbers))
        at = trie[form]
        if groups[at] == none:
            groups[at] = group
        elif groups[at] != group:
            known = more.setdefault(at, [groups[at]])
            if group not in known:
                known.append(group)
    # Never empty, because an empty file cannot be mapped.
    several = array("I", [0])
    for at, known in more.items():
        groups[at] = SEVERAL + len(several)
        several.extend([len(known), *known])
    return groups, several, len(numbers)


def _members(groups: array, several: array, count: int) -> tuple[array, array]:
    """Where each group's members begin, and the members."""

    def pairs() -> Iterator[tuple[int, int]]:
        for at, entry in enumerate(groups):
            if entry < SEVERAL:
                yield at, entry
            else:
                first = entry - SEVERAL + 1
                for group in several[first : first + several[first - 1]]:
                    yield at, group

    starts = array("I", [0]) * (count + 1)
    for _, group in pairs():
        starts[group + 1] += 1
    for group in range(count):
        starts[group + 1] += starts[group]
    free, members = starts[:], array("I", [0]) * starts[count]
    for at, group in pairs():
        members[free[group]] = at
        free[group] += 1
    return starts, members


if __name__ == "__main__":
    build(sys.argv[1], Path(sys.argv[2]))
