"""Small documents, good and bad, written by hand so that every byte is known."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence

from pypdf import PdfReader, PdfWriter

Objects = dict[int, bytes]


class Pdf:
    """Writes PDF files: object 1 is the catalogue, 2 the page tree, 3 the font."""

    @staticmethod
    def file(objects: Objects, trailer: bytes = b"") -> bytes:
        out = io.BytesIO()
        out.write(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
        offsets = {}
        for number, body in sorted(objects.items()):
            offsets[number] = out.tell()
            out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
        start = out.tell()
        size = max(objects) + 1
        out.write(b"xref\n0 %d\n0000000000 65535 f \n" % size)
        for number in range(1, size):
            offset = offsets.get(number)
            entry = b"%010d 00000 n \n" % offset if offset else b"0000000000 65535 f \n"
            out.write(entry)
        out.write(b"trailer\n<< /Size %d /Root 1 0 R %s >>\n" % (size, trailer))
        out.write(b"startxref\n%d\n%%%%EOF\n" % start)
        return out.getvalue()

    @staticmethod
    def stream(data: bytes, entries: bytes = b"", compress: bool = False) -> bytes:
        if compress:
            data = zlib.compress(data, 9)
            entries += b" /Filter /FlateDecode"
        return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(data), entries, data)

    @staticmethod
    def text_content(text: str) -> bytes:
        lines = []
        for line in text.split("\n"):
            escaped = line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
            lines.append(f"({escaped}) Tj T*")
        body = "\n".join(lines)
        return f"BT /F1 11 Tf 14 TL 72 720 Td\n{body}\nET".encode("cp1252")

    @classmethod
    def objects(cls, contents: Sequence[bytes], catalogue: bytes = b"") -> Objects:
        pages = [4 + 2 * index for index in range(len(contents))]
        kids = b" ".join(b"%d 0 R" % page for page in pages)
        objects: Objects = {
            1: b"<< /Type /Catalog /Pages 2 0 R %s >>" % catalogue,
            2: b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(pages)),
            3: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        }
        for page, content in zip(pages, contents, strict=True):
            objects[page] = (
                b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] "
                b"/Resources << /Font << /F1 3 0 R >> >> /Contents %d 0 R >>" % (page + 1)
            )
            objects[page + 1] = cls.stream(content)
        return objects

    @classmethod
    def pages(cls, *texts: str, catalogue: bytes = b"", info: bytes = b"") -> bytes:
        objects = cls.objects([cls.text_content(text) for text in texts], catalogue)
        trailer = b""
        if info:
            number = max(objects) + 1
            objects[number] = b"<< %s >>" % info
            trailer = b"/Info %d 0 R" % number
        return cls.file(objects, trailer)

    @staticmethod
    def encrypted(data: bytes, user_password: str) -> bytes:
        writer = PdfWriter(clone_from=PdfReader(io.BytesIO(data)))
        writer.encrypt(user_password, "owner's secret", algorithm="AES-256")
        out = io.BytesIO()
        writer.write(out)
        return out.getvalue()


def zip_bytes(members: dict[str, bytes | str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def docx_bytes(body: str, **parts: str) -> bytes:
    members: dict[str, bytes | str] = {
        "[Content_Types].xml": "<Types/>",
        "word/document.xml": f"<?xml version='1.0'?><w:document {_W} "
        'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006">'
        f"<w:body>{body}</w:body></w:document>",
    }
    for name, content in parts.items():
        members[f"word/{name}.xml"] = content.replace("W_NS", _W)
    return zip_bytes(members)


def epub_bytes(chapters: dict[str, bytes | str], *, title: str = "A Book", **more: str) -> bytes:
    items = "".join(
        f'<item id="c{index}" href="{name}" media-type="application/xhtml+xml"/>'
        for index, name in enumerate(chapters)
    )
    spine = "".join(f'<itemref idref="c{index}"/>' for index in range(len(chapters)))
    members: dict[str, bytes | str] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": "<container><rootfiles>"
        '<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>',
        "OEBPS/book.opf": '<package xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
        f"<dc:title>{title}</dc:title></metadata><manifest>{items}</manifest>"
        f"<spine>{spine}</spine></package>",
    }
    members |= {f"OEBPS/{name}": text for name, text in chapters.items()}
    members |= more
    return zip_bytes(members)


def nested_forms(levels: int, fan_out: int) -> bytes:
    """A PDF of a few kilobytes whose form objects call each other ``fan_out ** levels`` times."""
    objects = Pdf.objects([b"/X0 Do"])
    first = 10
    objects[4] = (
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 5 0 R "
        b"/Resources << /Font << /F1 3 0 R >> /XObject << /X0 %d 0 R >> >> >>" % first
    )
    for level in range(levels):
        last = level == levels - 1
        content = b"BT /F1 9 Tf (deep) Tj ET" if last else b"/X Do " * fan_out
        resources = b"/Font << /F1 3 0 R >>"
        if not last:
            resources += b" /XObject << /X %d 0 R >>" % (first + level + 1)
        entries = b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << %s >>" % resources
        objects[first + level] = Pdf.stream(content, entries)
    return Pdf.file(objects)
