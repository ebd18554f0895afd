"""What the bytes of a file say: by rules where there are any, else guessed from whole words."""

import codecs
import gzip

import pytest

from texts.decoding import NotText, certain, decode, only_certain, unpacked

TEXTS = {
    "cp1251": "anna,«СТОП, хватит!»\nboris,Не пишите мне больше.\n",
    "koi8-r": "anna,СТОП\nboris,Не пишите мне больше.\n",
    "cp866": "anna,СТОП\nboris,Не пишите мне больше.\n",
    "cp1252": "maria,“señor” no quiere más – ¡nada!\njean,a été fâché\n",
}


@pytest.mark.parametrize("encoding", TEXTS)
def test_an_encoding_without_a_mark_is_guessed_from_few_words(encoding: str):
    found = decode(TEXTS[encoding].encode(encoding))
    assert (found.encoding, found.text, found.guessed) == (encoding, TEXTS[encoding], True)
    assert certain(TEXTS[encoding].encode(encoding)) is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_unicode_is_certain(encoding: str):
    found = certain(TEXTS["cp1251"].encode(encoding))
    assert found is not None and (found.text, found.guessed) == (TEXTS["cp1251"], False)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "cp1251"])
def test_what_is_chosen_counts_and_its_mark_is_no_text(encoding: str):
    text = "Да" if encoding == "cp1251" else "\ufeffДа"
    assert decode(text.encode(encoding), encoding).text == "Да"


def test_a_text_that_is_not_in_the_chosen_encoding_is_refused_with_the_place():
    with pytest.raises(NotText, match=r"^it is not UTF-8: invalid start byte at byte 4, line 3$"):
        decode(b"a\r\nb\xff\n".replace(b"b", b"\n"), "utf-8")
    with pytest.raises(NotText, match="it is not UTF-8"):
        only_certain("я".encode("cp1251"))


def test_a_zero_byte_within_a_text_is_kept_and_bytes_that_are_no_text_are_refused():
    assert decode(b"a\0b").text == "a\0b"
    for content in (b"\xff\0\0\xfe", b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"%PDF-1", codecs.BOM_UTF16_LE + b"a"):
        with pytest.raises(NotText):
            decode(content)


def test_what_is_compressed_is_unpacked_up_to_a_limit():
    packed = gzip.compress(b"abc" * 100)
    assert unpacked(packed, 300) == b"abc" * 100
    assert unpacked(b"x\x9cno", 300) == b"x\x9cno"
    with pytest.raises(NotText, match="more than 299 bytes"):
        unpacked(packed, 299)
