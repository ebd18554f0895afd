"""The word tables are built from simplemma's dictionaries, once, and appear only when they are complete."""

import threading
from collections import defaultdict

import pytest
from simplemma.strategies.dictionaries.dictionary_factory import DefaultDictionaryFactory

from texts.words import building, tables
from texts.words.folding import fold
from texts.words.forms import forms_of

# simplemma's smallest dictionary, of no language of ours.
SMALLEST = "ms"


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("words") / SMALLEST
    building.build(SMALLEST, folder)
    return tables.Table(folder)


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    """No tables are built or loaded."""
    monkeypatch.setenv(tables.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(tables, "_tables", {})
    return tables.folder()


def test_words_with_one_lemma_of_the_lemma_are_forms_of_each_other(table):
    dictionary = DefaultDictionaryFactory().get_dictionary(SMALLEST)
    lemmas = defaultdict(set)
    forms = defaultdict(set)
    for form in {*dictionary, *dictionary.values()}:
        lemma = dictionary.get(form, form)
        lemma = dictionary.get(lemma, lemma)
        lemmas[fold(form)].add(lemma)
        forms[lemma].add(fold(form))
    assert any(len(several) > 1 for several in lemmas.values())
    for form, several in lemmas.items():
        assert table.forms(form) == set().union(*(forms[lemma] for lemma in several))


def test_word_that_is_not_in_the_table_has_no_forms(table):
    assert table.forms("zzz") == frozenset()
    assert not table.knows("zzz")


def test_build_that_fails_leaves_nothing_that_could_be_taken_for_a_table(tmp_path, monkeypatch):
    def fails(*_):
        raise MemoryError

    with monkeypatch.context() as patched, pytest.raises(MemoryError):
        patched.setattr(building, "learn", fails)
        building.build(SMALLEST, tmp_path / SMALLEST)
    assert not (tmp_path / SMALLEST).exists()
    building.build(SMALLEST, tmp_path / SMALLEST)
    assert tables.Table(tmp_path / SMALLEST).knows("rumah")


def test_several_processes_build_a_table_once(own_folder, monkeypatch):
    built = []

    def build(code, target):
        built.append(code)
        target.mkdir()

    monkeypatch.setattr(tables, "_build", build)
    threads = [threading.Thread(target=tables.ensure, args=["en"]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert built == ["en"]


def test_table_that_cannot_be_stored_is_an_error_with_advice(tmp_path, monkeypatch, own_folder):
    (tmp_path / "file").touch()
    monkeypatch.setenv(tables.FOLDER_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(tables.TableUnavailable, match=r"French could not be built: .*Run `python -m texts\.words fr`"):
        forms_of("mot-de-ce-test", ["fr"])


def test_table_that_cannot_be_built_is_an_error_with_the_reason(own_folder, monkeypatch):
    monkeypatch.setattr(tables.sys, "executable", "/bin/false")
    with pytest.raises(tables.TableUnavailable, match="Polish could not be built: exit code 1"):
        tables.table("pl")


def test_damaged_table_is_an_error_that_says_what_to_do(own_folder):
    (own_folder / "fr").mkdir(parents=True)
    with pytest.raises(tables.TableUnavailable, match=r"fr is damaged .* delete this folder, it is built again"):
        forms_of("maison", ["fr"])
