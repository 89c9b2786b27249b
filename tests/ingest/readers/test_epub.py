from __future__ import annotations

import pytest

from sharedcli.errors import EncryptedError, UnreadableError


def test_chapters_in_reading_order(read, make_epub):
    book = make_epub(
        {
            "z%20first.xhtml": "x",
            "text/b.xhtml": "<html><head><title/><script src='a'/></head><body>"
            "<h1>Two<br/>lines</h1><p>later<a id='n1'/> text</p></body></html>",
            "c.xhtml": "<html><head><title>Notes</title></head><body><p>plain</p></body></html>",
        },
        **{"OEBPS/z first.xhtml": "<h1>One</h1><p>begin"},
    )
    document = read("book.epub", book)
    assert document.title == "A Book"
    assert document.media_type == "application/epub+zip"
    assert [page.label for page in document.pages] == ["One", "Two lines", "Notes"]
    assert document.text == "One\n\nbegin\n\nTwo lines\n\nlater text\n\nplain\n\n"


def test_missing_chapter_is_a_warning(read, make_epub):
    whole = make_epub({"a.xhtml": "<p>here", "b.xhtml": "<p>x"})
    renamed = whole.replace(b"OEBPS/b.xhtml", b"OEBPS/q.xhtml")
    document = read("gap.epub", renamed)
    assert document.warnings == ("1 of 2 chapters are missing in the file",)


def test_protected_book(read, make_epub):
    encryption = '<e xmlns="x"><CipherReference URI="OEBPS/a.xhtml"/></e>'
    with pytest.raises(EncryptedError, match="protected"):
        read("drm.epub", make_epub({"a.xhtml": "?"}, **{"META-INF/encryption.xml": encryption}))


def test_obfuscated_fonts_are_no_protection(read, make_epub):
    encryption = '<e xmlns="x"><CipherReference URI="OEBPS/font.otf"/></e>'
    book = make_epub({"a.xhtml": "<p>text"}, **{"META-INF/encryption.xml": encryption})
    assert read("fonts.epub", book).text.strip() == "text"


def test_broken_books(read, make_epub, make_zip):
    with pytest.raises(UnreadableError, match="no chapters"):
        read("none.epub", make_epub({}))
    with pytest.raises(UnreadableError, match="package document"):
        read("nopkg.epub", make_zip({"META-INF/container.xml": "<rootfile full-path='x'/>"}))
