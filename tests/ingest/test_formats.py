from __future__ import annotations

import pytest

from sharedcli.ingest.formats import HEAD_BYTES, detect, is_document_name, reader_for


@pytest.mark.parametrize(
    ("head", "name", "kind"),
    [
        (b"%PDF-1.7", "a.txt", "pdf"),
        (b"\r\njunk %PDF-1.4", "a.pdf", "pdf"),
        (b"About the %PDF- signature", "a.txt", "pages"),
        (b"no signature", "a.PDF", "pdf"),
        (b"PK\x03\x04", "a.docx", "zip"),
        (b"PK\x03\x04", "a", "zip"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a.doc", "ole"),
        (b"# Title", "a.MD", "markdown"),
        (b"<p>", "a.htm", "html"),
        (b" <!DOCTYPE html>", "", "html"),
        (b"<html>", "a.txt", "html"),
        (b"<html>", "template.php", "text"),
        (b"<htmlish>", "", "pages"),
        (b"a,b", "a.csv", "text"),
        (b"text", "", "pages"),
    ],
)
def test_detect(head, name, kind):
    assert detect(head, name) == kind
    assert callable(reader_for(kind))


def test_names_in_folders():
    wanted = ["a.pdf", "A.PDF", "b.tar.md", "README", "license", "Makefile", "x.py", "y.docx"]
    unwanted = ["a.png", "a", "README.jpg", ".pdf", "x.zip", "a.ipynb", "a.doc"]
    assert all(map(is_document_name, wanted))
    assert not any(map(is_document_name, unwanted))


@pytest.mark.parametrize("unit", [b"<!-- -->", b"<!--", b" ", b"<!-- --> ", b"-->"])
def test_a_row_of_comments_takes_no_time(unit):
    """With a careless expression the first of these would never end."""
    assert detect((unit * HEAD_BYTES)[:HEAD_BYTES], "") == "pages"
