"""Which reader reads a file: by its first bytes where these are sure, else by its name.

Names lie and downloads lose them, so PDF and zip-based files are known by their signature. Text
formats have none: there the suffix decides, and without one whether it looks like HTML.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import PurePath
from typing import cast

from sharedcli.ingest.reading import Reader

HEAD_BYTES = 4096
"""How much of a file ``detect`` wants to see."""

_MARKDOWN = frozenset({".md", ".markdown", ".mdown", ".mkd", ".qmd", ".rmd"})
_HTML = frozenset({".html", ".htm", ".xhtml"})
_TEXT = frozenset({".txt", ".text"})
_OTHER_TEXT_SUFFIXES = """
    .csv .tsv .rst .adoc .asciidoc .org .tex .bib .log .srt .vtt .eml .json .jsonl .ndjson .yaml
    .yml .toml .ini .cfg .conf .properties .xml .sql .graphql .proto .diff .patch
    .py .pyi .js .mjs .cjs .jsx .ts .tsx .vue .svelte .css .scss .c .h .cc .cpp .cxx .hh .hpp
    .cu .cuh .m .mm .java .kt .kts .scala .groovy .cs .fs .vb .go .rs .swift .zig .d .nim .rb .php
    .pl .pm .lua .r .jl .hs .ml .mli .clj .cljs .ex .exs .erl .el .lisp .scm .f .f90 .f95 .pas .sh
    .bash .zsh .fish .ps1 .bat .cmake .mk .gradle .tf .dart .v .sv .vhd .vhdl .asm .s
"""
_BARE_NAMES = """
    readme license licence copying notice changelog changes news authors contributing todo
    makefile dockerfile
"""
_OTHER_TEXT = frozenset(_OTHER_TEXT_SUFFIXES.split())
_NAMES = frozenset(_BARE_NAMES.split())
_BINARY = frozenset({".pdf", ".docx", ".epub"})

DOCUMENT_SUFFIXES = _BINARY | _MARKDOWN | _HTML | _TEXT | _OTHER_TEXT
"""Suffixes (lower case, with dot) that are read when a folder is given."""

_PACKAGE = "sharedcli.ingest.readers"
_READERS = {
    "pdf": ("pdf", "read"),
    "zip": ("container", "read_zip"),
    "ole": ("container", "read_ole"),
    "html": ("html_page", "read"),
    "markdown": ("markdown", "read"),
    "pages": ("text", "read_pages"),
    "text": ("text", "read"),
}

QUICK_KINDS = frozenset({"text", "pages", "markdown"})
"""Formats whose readers take time in proportion to the size and little memory."""

# A comment is matched in one way only: with ".*?" a row of them would take exponential time.
_HTML_START = re.compile(
    rb"\s*(?:<!--(?:(?!-->).)*-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.I | re.S
)
_OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def is_document_name(name: str) -> bool:
    """Whether a file of this name, found in a folder, is one that the readers know."""
    path = PurePath(name)
    if path.suffix.lower() in DOCUMENT_SUFFIXES:
        return True
    return not path.suffix and path.name.lower() in _NAMES


def detect(head: bytes, name: str) -> str:
    """Return the format's name for a file that starts with ``head`` and is called ``name``.

    ``head`` should hold ``HEAD_BYTES``, or the whole file if it is shorter.
    """
    suffix = PurePath(name).suffix.lower()
    # Real PDFs have junk before the signature; the specification allows 1,024 bytes of it.
    at = head[:1024].find(b"%PDF-")
    if at == 0 or (at > 0 and (suffix == ".pdf" or b"\0" in head[:at])):
        return "pdf"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head.startswith(_OLE_MAGIC):
        return "ole"
    if suffix == ".pdf":
        return "pdf"
    if suffix in _MARKDOWN:
        return "markdown"
    if suffix in _HTML or (suffix not in _OTHER_TEXT and _HTML_START.match(head)):
        return "html"
    # Only prose carries form feeds as page breaks; in source code they are ornaments.
    return "pages" if suffix in _TEXT or not suffix else "text"


def reader_for(kind: str) -> Reader:
    """Return the reader function of a format named by ``detect``; imports it on first use."""
    module, function = _READERS[kind]
    return cast(Reader, getattr(import_module(f"{_PACKAGE}.{module}"), function))
