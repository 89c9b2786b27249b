from __future__ import annotations

import codecs

import pytest

from sharedcli.errors import LimitError, NoTextError, UnreadableError
from sharedcli.ingest import DocumentReader, Limits

WESTERN = "Die Straße führt über Köln nach Zürich – “déjà vu”, sagte die Verkäuferin. " * 8
RUSSIAN = "Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива. " * 8
JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。" * 12


def test_utf8(read):
    document = read("a.txt", "naïve café\r\nsecond line")
    assert document.text == "naïve café\nsecond line\n\n"
    assert not document.paged
    assert document.warnings == ()
    assert document.media_type == "text/plain"


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_byte_order_marks(read, mark, encoding):
    assert read("bom.txt", mark + WESTERN.encode(encoding)).text.strip() == WESTERN.strip()


@pytest.mark.parametrize(
    ("text", "encoding"),
    [(WESTERN, "cp1252"), (RUSSIAN, "cp1251"), (RUSSIAN, "koi8-r"), (JAPANESE, "shift_jis")],
)
def test_guessed_encodings_are_announced(read, text, encoding):
    document = read("old.txt", text.encode(encoding))
    assert document.text.strip() == text.strip()
    assert "guessed" in document.warnings[0]


def test_an_accent_that_comes_late_is_read(read):
    plain = "It is a plain English sentence of a long book.\n" * 3000
    document = read("book.txt", f"{plain}\nThe café cost £5 for Zoë's friend.\n".encode("latin-1"))
    assert document.text.rstrip().endswith("The café cost £5 for Zoë's friend.")
    assert "guessed" in document.warnings[0]


def test_one_bad_byte_costs_one_character(read):
    good = "# Notes\n\nThe release — see below — is “big”.\n" + "plain text only.\n" * 60
    document = read("notes.md", good.encode() + b"caf\xe9 au lait\n")
    assert document.text.startswith(good)
    assert document.text.rstrip().endswith("caf\ufffd au lait")
    assert document.warnings == ("1 damaged characters were replaced",)
    page = b'<meta charset="utf-8"><p>caf\xc3\xa9 and caf\xe9</p>'
    assert read("page.html", page).text.strip() == "café and caf\ufffd"


def test_short_western_text_is_not_taken_for_another_alphabet(read):
    assert read("w.txt", "déjà vu, Zürich, naïve".encode("cp1252")).text.strip() == (
        "déjà vu, Zürich, naïve"
    )


def test_utf8_with_a_few_damaged_bytes_stays_utf8(read):
    data = bytearray((RUSSIAN * 3).encode())
    data[100] = 0xFF
    document = read("damaged.txt", bytes(data))
    assert "счастливые" in document.text
    assert "damaged" in document.warnings[0]


def test_form_feeds_are_pages(read):
    document = read("rfc.txt", "page one\n\fpage two\n\fpage three\n\f")
    assert document.paged
    assert [page.number for page in document.pages] == [1, 2, 3]
    assert "page two" in document.text[document.pages[1].start : document.pages[1].end]


def test_form_feeds_in_source_code_are_ornaments(read):
    document = read("code.c", "int a;\n\fint b;\n")
    assert not document.paged
    assert len(document.pages) == 1


def test_csv_is_text(read):
    assert "Köln;1,5" in read("t.csv", "city;value\nKöln;1,5\n").text


def test_empty_and_blank_files(read):
    with pytest.raises(NoTextError, match="is empty"):
        read("empty.txt", b"")
    with pytest.raises(NoTextError, match="no text"):
        read("blank.txt", b" \n\t\n")


def test_binary_is_refused(read):
    with pytest.raises(UnreadableError, match="no text"):
        read("image.txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1\0" * 20)


def test_text_limit(tmp_path):
    path = tmp_path / "long.txt"
    path.write_text("x" * 101)
    with DocumentReader(Limits(text_chars=100)) as reader, pytest.raises(LimitError):
        reader.read(path)
