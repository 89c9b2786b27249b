"""Files made to hurt, each built here, with what is meant to happen to it."""

import io
import os
import socket
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import trial_setup

from ingest_samples import Pdf, docx_bytes, epub_bytes, nested_forms, zip_bytes  # isort: skip

MIB = 1 << 20
_TYPES = "[Content_Types].xml"
_MAIN = "word/document.xml"
assert trial_setup.TESTS.is_dir()  # it makes the samples importable


def _pdf_stream(data: bytes, entries: bytes = b"", compress: bool = False) -> bytes:
    objects = Pdf.objects([b""])
    objects[5] = Pdf.stream(data, entries, compress)
    return Pdf.file(objects)


def _pdf_tree(*kids: bytes, count: int = 1) -> bytes:
    objects = Pdf.objects([Pdf.text_content("page")])
    objects[2] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(kids), count)
    objects[6] = b"<< /Type /Pages /Kids [2 0 R] /Parent 2 0 R /Count 1 >>"
    return Pdf.file(objects)


def _docx(main: bytes | str) -> bytes:
    return zip_bytes({_TYPES: "<T/>", _MAIN: main})


def _laughs() -> bytes:
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    return _docx(f'<!DOCTYPE d [<!ENTITY e0 "ha">{entities}]><d>&e11;</d>')


def _liar() -> bytes:
    """The directory says ten bytes where nine thousand come out."""
    data = bytearray(_docx(b"a" * 9_000))
    at = data.rfind(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 10)
    return bytes(data)


def _overlapping() -> bytes:
    """Two thousand members of the directory are the same packed bytes."""
    whole = zip_bytes({_TYPES: "<T/>", _MAIN: os.urandom(50_000) * 20})
    end = whole.rfind(b"PK\x05\x06")
    size, start = struct.unpack("<II", whole[end + 12 : end + 20])
    directory = whole[start : start + size]
    entry = directory[directory.rfind(b"PK\x01\x02") :]
    names = (f"word/{number:08d}.xml".encode() for number in range(2000))
    directory += b"".join(entry.replace(_MAIN.encode(), name) for name in names)
    tail = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 2002, 2002, len(directory), start, 0)
    return whole[:start] + directory + tail


def _flagged(data: bytes) -> bytes:
    """Every member claims to be encrypted."""
    work = bytearray(data)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = work.find(mark)
        while at >= 0:
            work[at + offset] |= 1
            at = work.find(mark, at + 4)
    return bytes(work)


def _spine() -> bytes:
    book = epub_bytes({"a.xhtml": "<p>" + "word " * 20_000})
    with zipfile.ZipFile(io.BytesIO(book)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    package = members["OEBPS/book.opf"]
    members["OEBPS/book.opf"] = package.replace(
        b'<itemref idref="c0"/>', b'<itemref idref="c0"/>' * 20_000
    )
    return zip_bytes(dict(members))


def _noise() -> bytes:
    return b"".join(zlib.compress(bytes([n]) * n)[2:] for n in range(1, 255)) * 20


FILES: dict[str, Callable[[], bytes]] = {
    "processor bomb.pdf": lambda: nested_forms(levels=12, fan_out=10),
    "decompression bomb.pdf": lambda: _pdf_stream(b" " * 200_000_000, compress=True),
    "twice packed bomb.pdf": lambda: _pdf_stream(
        zlib.compress(zlib.compress(b"0 " * 100_000_000, 9), 9),
        b"/Filter [/FlateDecode /FlateDecode]",
    ),
    "cyclic pages.pdf": lambda: _pdf_tree(b"2 0 R", b"6 0 R", count=2),
    "page count that lies.pdf": lambda: _pdf_tree(b"4 0 R", count=2_000_000_000),
    "one page 60,000 times.pdf": lambda: _pdf_tree(*[b"4 0 R"] * 60_000, count=60_000),
    "encrypted.pdf": lambda: Pdf.encrypted(Pdf.pages("secret"), "password"),
    "scanned.pdf": lambda: Pdf.file(Pdf.objects([b"q Q"])),
    "cut off.pdf": lambda: Pdf.pages("some text", "more text")[:300],
    "a picture.pdf": lambda: b"\xff\xd8\xff\xe0" + _noise(),
    "zip bomb.docx": lambda: _docx(b" " * 500_000_000),
    "overlapping members.docx": _overlapping,
    "size that lies.docx": _liar,
    "10,001 members.epub": lambda: zip_bytes({f"m{number}": b"" for number in range(10_001)}),
    "entity bomb.docx": _laughs,
    "external entity.docx": lambda: _docx(
        '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><d>&x;</d>'
    ),
    "zip slip.epub": lambda: epub_bytes(
        {"../../../../../../etc/passwd": "<p>root"}, **{"../../evil.txt": "evil"}
    ).replace(b"OEBPS/../", b"OEBPS_/../"),
    "encrypted.docx": lambda: _flagged(docx_bytes("<w:p/>")),
    "encrypted office.docx": lambda: (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le")
    ),
    "200,000 nested paragraphs.docx": lambda: docx_bytes("<w:p>" * 200_000 + "</w:p>" * 200_000),
    "a chapter 20,000 times.epub": _spine,
    "5,000 nested tags.html": lambda: b"<div>" * 5_000 + b"bottom",
    "400,000 nested tags.html": lambda: b"<div>" * 400_000 + b"bottom",
    "a million attributes.html": lambda: b"<p " + b"a=1 " * 1_000_000 + b">text",
    "one line of 200 MB.txt": lambda: b"word " * (40 * MIB),
    "one line of 15 MB.md": lambda: b"# " + b"word " * (3 * MIB),
    "expressions that backtrack.md": lambda: b"text\n#" + b" " * 500_000 + b"x\n" + b"[" * 500_000,
    "a million columns.csv": lambda: b"1," * 1_000_000,
    "NULs.txt": lambda: b"before\0after\0" * 3,
    "only NULs.txt": lambda: b"\0" * 5_000_000,
    "lone surrogates.txt": lambda: "text \ud800 \udfff text".encode("utf-8", "surrogatepass"),
    "lone surrogates in UTF-16.txt": lambda: b"\xff\xfet\0e\0x\0t\0\0\xd8t\0",
    "binary noise.txt": _noise,
    "empty.txt": lambda: b"",
    "name with a \n newline.txt": lambda: b"text of an odd name",
    "name with \x1b[31m colour.txt": lambda: b"text of an odd name",
    "-name like an option.txt": lambda: b"text of an odd name",
    "n" * 250 + ".txt": lambda: b"text of a long name",
    os.fsdecode(b"name of bytes \xff\xfe.txt"): lambda: b"text of an odd name",
}


def special(folder: Path) -> list[Path]:
    """What is no file: a pipe, a socket, a link to itself, a folder, a device."""
    os.mkfifo(folder / "pipe.pdf")
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind(os.path.relpath(folder / "socket.txt"))
    (folder / "link to itself.txt").symlink_to("link to itself.txt")
    (folder / "folder.pdf").mkdir()
    names = ("pipe.pdf", "socket.txt", "link to itself.txt", "folder.pdf")
    return [*(folder / name for name in names), Path("/dev/zero")]
