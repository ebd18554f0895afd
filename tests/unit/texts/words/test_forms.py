"""Words that have once been missed or confused, one by one. `test_hunspell_families` measures whole languages."""

import subprocess
import sys

import pytest

from tests.support import ROOT
from texts.words.forms import forms_of
from texts.words.languages import UnknownLanguage


@pytest.mark.parametrize(
    ("language", "word", "form"),
    [
        ("ru", "ребенок", "ребенка"),
        ("ru", "ребёнок", "дети"),
        ("ru", "дети", "ребенок"),
        ("ru", "деньги", "денег"),
        ("ru", "день", "дню"),
        ("ru", "ноготь", "ногти"),
        ("ru", "отец", "отца"),
        ("ru", "окно", "окон"),
        ("ru", "человек", "люди"),
        ("ru", "купить", "куплю"),
        ("ru", "снять", "сниму"),
        ("ru", "мёд", "меда"),
        ("uk", "вчитель", "вчителя"),
        ("uk", "об’єкт", "об'єкта"),
        ("uk", "орендувати", "орендуючи"),
        ("uk", "ґанок", "ганку"),
        ("en", "mouse", "mice"),
        ("en", "buy", "bought"),
        ("de", "Wohnung", "wohnungen"),
        ("de", "wohnung", "wohnungen"),
        ("de", "Straße", "strassen"),
        ("es", "clase", "clases"),
        ("es", "alquilar", "alquilarlo"),
        ("es", "alquilar", "alquilándola"),
        ("fr", "appartement", "appartements"),
        ("fr", "éprouver", "éprouvée"),
        ("pl", "mieszkanie", "mieszkania"),
        ("pt", "aluguel", "aluguéis"),
        ("it", "casa", "case"),
        ("tr", "daire", "daireler"),
    ],
)
def test_word_has_its_form(language, word, form):
    assert form in forms_of(word, [language])
    assert form in forms_of(word, [])


@pytest.mark.parametrize(
    ("language", "word", "other"),
    [
        ("en", "business", "busy"),
        ("en", "busy", "business"),
        ("en", "marketing", "market"),
        ("en", "market", "marketing"),
        ("de", "wohnung", "wohnen"),
        ("ru", "курс", "курсор"),
        ("ru", "любить", "любимый"),
        ("es", "caso", "casa"),
        ("es", "lugar", "lugarlo"),
    ],
)
def test_other_word_is_no_form(language, word, other):
    assert other not in forms_of(word, [language])


@pytest.mark.parametrize(
    ("language", "word", "form"),
    [
        ("de", "Genossenschaftswohnung", "genossenschaftswohnungen"),
        ("fr", "visioconférencier", "visioconférenciers"),
        ("ru", "криптобиржа", "криптобирже"),
        ("ru", "чатбот", "чатботами"),
        ("uk", "криптогаманець", "криптогаманця"),
    ],
)
def test_word_of_no_dictionary_is_inflected_like_those_that_end_like_it(language, word, form):
    assert form in forms_of(word, [language])


def test_ambiguous_word_has_the_forms_of_all_its_lemmas():
    assert {"стекло", "стекол", "стекла", "стечь", "стекут"} <= forms_of("стекло", ["ru"])


def test_word_has_its_forms_in_each_of_several_languages():
    assert {"chat", "chats", "chatting"} <= forms_of("chat", ["en", "fr"])
    assert "chatting" not in forms_of("chat", ["fr"])


def test_guess_is_no_form_beside_a_dictionary_that_knows_the_word():
    assert forms_of("вчителя", ["ru", "uk"]) == forms_of("вчителя", ["uk"])


@pytest.mark.parametrize(
    ("word", "languages"), [("пәтер", []), ("пәтер", ["kk"]), ("kvartira", ["uz"]), ("квартира", ["en"]), ("日本", [])]
)
def test_word_of_a_language_without_dictionary_has_only_its_own_form(word, languages):
    assert forms_of(word, languages) == {word}


def test_word_itself_is_folded():
    assert forms_of("QAZAQ", ["kk"]) == {"qazaq"}


def test_unknown_language_is_named():
    with pytest.raises(UnknownLanguage, match=r"“xx”.*ru, "):
        forms_of("дом", ["ru", "xx"])


def test_process_that_compiles_no_keywords_loads_no_dictionaries():
    code = "import sys, texts.words.forms; print(*{'pymorphy3', 'marisa_trie', 'simplemma'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
