"""Builds a word table from simplemma's dictionary: `python -m texts.words.building CODE FOLDER`.

simplemma's dictionary gives the lemma of a form, but that lemma may have a lemma of its own. Forms with the same lemma
of the lemma are a group. The dictionary is read as a stream; as a dict, the Polish one would take 425 MB.
"""

import json
import lzma
import os
import shutil
import sys
from array import array
from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import marisa_trie
from simplemma.strategies.dictionaries import frontcode
from simplemma.strategies.dictionaries.dictionary_factory import DATA_FOLDER

from texts.words.endings import learn
from texts.words.folding import fold
from texts.words.tables import SEVERAL


class Dictionary:
    """The shipped dictionary of a language: its folded forms, and for each the number of the lemma of its lemma."""

    def __init__(self, code: str) -> None:
        with lzma.open(DATA_FOLDER / f"{code}.plzma", "rb") as file:
            data = file.read()
        reverse, _, start = frontcode._read_header(data)
        if reverse:
            raise ValueError(f"the dictionary of {code} has reversed keys, which this version cannot read")
        lines = BytesIO()
        numbers: dict[bytes, int] = {}
        direct = array("I")
        for _, form, lemma in frontcode._iter_records(data, start):
            lines.write(fold(form.decode()).encode() + b"\n")
            direct.append(numbers.setdefault(lemma, len(numbers)))
        # The lemmas of lemmas, where a lemma is in the dictionary itself.
        again = array("I", range(len(numbers)))
        found = set()
        for at, (_, form, _) in enumerate(frontcode._iter_records(data, start)):
            number = numbers.get(form)
            if number is not None:
                found.add(form)
                again[number] = direct[at]
        # Numbers without gaps.
        dense = {number: at for at, number in enumerate(sorted(set(again)))}
        again = array("I", map(dense.__getitem__, again))
        self.lemmas = array("I", map(again.__getitem__, direct))
        for lemma, number in numbers.items():
            if lemma not in found:
                lines.write(fold(lemma.decode()).encode() + b"\n")
                self.lemmas.append(again[number])
        self.count = len(dense)
        # Less than half the memory of a list of texts.
        self._lines = lines

    def forms(self) -> Iterator[str]:
        """All folded forms, in the order of `lemmas`. A form may come several times."""
        self._lines.seek(0)
        return (line[:-1].decode() for line in self._lines)


def build(code: str, target: Path) -> None:
    """Write the table of a language into `target`, which appears only when it is complete."""
    dictionary = Dictionary(code)
    trie = marisa_trie.Trie(dictionary.forms())
    groups, several = _groups(dictionary, trie)
    starts, members = _members(groups, several, dictionary.count)
    unfinished = target.with_name(f"{target.name}.{os.getpid()}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    trie.save(str(unfinished / "forms.trie"))
    parts = {"groups": groups, "several": several, "starts": starts, "members": members}
    for name, numbers in parts.items():
        (unfinished / f"{name}.bin").write_bytes(numbers.tobytes())
    words = (map(trie.restore_key, members[start:end]) for start, end in pairwise(starts))
    endings = learn(words, dictionary.count)
    (unfinished / "endings.json").write_text(json.dumps(endings, ensure_ascii=False), "utf-8")
    unfinished.rename(target)


def _groups(dictionary: Dictionary, trie: marisa_trie.Trie) -> tuple[array, array]:
    """For each form its group or a reference into the second array, and the second array."""
    none = SEVERAL - 1
    groups = array("I", [none]) * len(trie)
    more: dict[int, list[int]] = {}
    for form, group in zip(dictionary.forms(), dictionary.lemmas, strict=True):
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
    return groups, several


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
