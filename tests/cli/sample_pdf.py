"""Make the sample's PDF from its text: ``python tests/cli/sample_pdf.py`` writes it anew.

A page per section between "===" lines, set in Helvetica; the first two pages carry the printed
labels i and ii, the others 1 to 6. Written by hand, so that the bytes depend on nothing but the
text, and a test can compare them.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

SAMPLES = Path(__file__).parents[2] / "sharedcli" / "samples"
_FRONT_PAGES = 2
_TITLE = "The Halvard Ridge Weather Station"
_WIDTH, _HEIGHT, _MARGIN = 595, 842, 62
_SIZE, _LEADING = 12, 20
_COLUMNS = 80


def make_pdf(text: str) -> bytes:
    """Return the PDF of ``text``, whose pages are separated by lines of "==="."""
    pages = [page.strip() for page in text.split("\n===\n")]
    objects: list[bytes] = []
    kids = " ".join(f"{5 + 2 * number} 0 R" for number in range(len(pages)))
    labels = f"<< /Nums [0 << /S /r >> {_FRONT_PAGES} << /S /D >>] >>"
    objects.append(f"<< /Type /Catalog /Pages 2 0 R /PageLabels {labels} /Lang (en) >>".encode())
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode())
    objects.append(
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
    )
    objects.append(f"<< /Title ({_TITLE}) /Author (sharedcli) >>".encode())
    for number, page in enumerate(pages):
        stream = _content(page, _label(number))
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {_WIDTH} {_HEIGHT}] /Resources "
            f"<< /Font << /F1 3 0 R >> >> /Contents {6 + 2 * number} 0 R >>".encode()
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
    return _file(objects)


def _label(number: int) -> str:
    return ("i", "ii")[number] if number < _FRONT_PAGES else str(number - _FRONT_PAGES + 1)


def _content(page: str, label: str) -> bytes:
    lines: list[str] = []
    for paragraph in page.split("\n"):
        lines += textwrap.wrap(paragraph, _COLUMNS, break_on_hyphens=False) or [""]
    top = _HEIGHT - _MARGIN
    shown = [f"BT /F1 {_SIZE} Tf {_LEADING} TL {_MARGIN} {top} Td"]
    shown += [f"({_escaped(line)}) Tj T*" for line in lines]
    shown.append("ET")
    shown.append(f"BT /F1 9 Tf {_WIDTH // 2} {_MARGIN // 2} Td ({label}) Tj ET")
    return "\n".join(shown).encode("cp1252")


def _escaped(line: str) -> str:
    return line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")


def _file(objects: list[bytes]) -> bytes:
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    out += b"trailer\n<< /Size %d /Root 1 0 R /Info 4 0 R >>\n" % size
    out += b"startxref\n%d\n%%%%EOF\n" % start
    return bytes(out)


if __name__ == "__main__":
    source = SAMPLES / "halvard-ridge.txt"
    source.with_suffix(".pdf").write_bytes(make_pdf(source.read_text(encoding="utf-8")))
