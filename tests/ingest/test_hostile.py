"""Files made to hurt: each ends soon with a clear reason, and the next file is read."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import pytest
from ingest_samples import nested_forms

from sharedcli.errors import DocumentError, LimitError, UnreadableError
from sharedcli.ingest import DocumentReader, Limits

QUICK = Limits(seconds=5.0, page_seconds=1.0, text_chars=2_000_000, archive_bytes=8 << 20)


@pytest.fixture(scope="module")
def strict():
    with DocumentReader(QUICK) as reader:
        yield reader


@pytest.fixture
def refuse(strict, tmp_path):
    """Read a hostile file, then a good one with the same reader; return the error."""

    def attempt(name: str, content: bytes) -> DocumentError:
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DocumentError) as caught:
            strict.read(path)
        assert name.split(".", maxsplit=1)[0] in str(caught.value)
        assert "\n" not in str(caught.value)
        good = tmp_path / "good.html"
        good.write_text("<p>still alive")
        assert strict.read(good).text.strip() == "still alive"
        return caught.value

    return attempt


def test_processor_bomb_in_a_pdf_is_stopped(refuse, pdf):
    error = refuse("cpu.pdf", nested_forms(levels=12, fan_out=10))
    assert isinstance(error, LimitError)


def test_decompression_bomb_in_a_pdf_is_stopped(refuse, pdf):
    objects = pdf.objects([b""])
    objects[5] = pdf.stream(b"BT (x) Tj ET " + b" " * 200_000_000, compress=True)
    assert len(pdf.file(objects)) < 1_000_000
    assert isinstance(refuse("bomb.pdf", pdf.file(objects)), LimitError)


def test_twice_compressed_bomb_is_stopped(refuse, pdf):
    packed = zlib.compress(zlib.compress(b"0 " * 100_000_000, 9), 9)
    objects = pdf.objects([b""])
    objects[5] = pdf.stream(packed, b"/Filter [/FlateDecode /FlateDecode]")
    refuse("twice.pdf", pdf.file(objects))


def test_cyclic_page_tree_ends(refuse, pdf):
    objects = pdf.objects([b""])
    objects[2] = b"<< /Type /Pages /Kids [2 0 R 6 0 R] /Count 2 >>"
    objects[6] = b"<< /Type /Pages /Kids [2 0 R] /Parent 2 0 R /Count 1 >>"
    refuse("cycle.pdf", pdf.file(objects))


def test_page_count_that_lies_is_not_believed(strict, pdf, tmp_path):
    objects = pdf.objects([pdf.text_content("only page")])
    objects[2] = b"<< /Type /Pages /Kids [4 0 R] /Count 2000000000 >>"
    path = tmp_path / "count.pdf"
    path.write_bytes(pdf.file(objects))
    document = strict.read(path)
    assert len(document.pages) == 1
    assert "only page" in document.text


def test_same_page_many_times_is_limited(refuse, pdf):
    objects = pdf.objects([pdf.text_content("x" * 80)])
    objects[2] = b"<< /Type /Pages /Kids [%s] /Count 60000 >>" % (b"4 0 R " * 60_000)
    assert isinstance(refuse("many.pdf", pdf.file(objects)), LimitError)


def test_zip_bomb_is_stopped(refuse, make_zip):
    bomb = make_zip({"[Content_Types].xml": "<T/>", "word/document.xml": b" " * 50_000_000})
    assert len(bomb) < 100_000
    error = refuse("bomb.docx", bomb)
    assert isinstance(error, LimitError)


def test_declared_sizes_of_an_archive_are_not_believed(refuse, make_zip):
    """The directory says ten bytes; what counts is what comes out, or that it is damaged."""
    data = bytearray(make_zip({"[Content_Types].xml": "<T/>", "word/document.xml": b"a" * 9_000}))
    at = data.rfind(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 10)
    assert isinstance(refuse("liar.docx", bytes(data)), UnreadableError)


def test_archive_with_too_many_members(refuse, make_zip):
    members = {f"m{number}": b"" for number in range(10_001)}
    assert isinstance(refuse("crowd.epub", make_zip(members)), LimitError)


def test_entity_bomb_in_docx(refuse, make_zip):
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    xml = f'<!DOCTYPE d [<!ENTITY e0 "ha">{entities}]><d>&e11;</d>'
    error = refuse("laughs.docx", make_zip({"[Content_Types].xml": "", "word/document.xml": xml}))
    assert "document type" in str(error)


def test_external_entity_reads_no_file(refuse, make_zip, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("top secret")
    xml = f'<!DOCTYPE d [<!ENTITY x SYSTEM "{secret.as_uri()}">]><d>&x;</d>'
    refuse("xxe.docx", make_zip({"[Content_Types].xml": "", "word/document.xml": xml}))


def test_zip_slip_writes_and_reads_nothing_outside(refuse, make_epub, tmp_path):
    before = sorted(tmp_path.parent.rglob("*"))
    book = make_epub({"../../../../../../etc/passwd": "<p>root"}, **{"../../evil.txt": "evil"})
    refuse("slip.epub", book.replace(b"OEBPS/../", b"OEBPS_/../"))
    after = set(tmp_path.parent.rglob("*")) - set(before)
    assert {path.name for path in after} == {"slip.epub", "good.html"}


@pytest.mark.parametrize("tag", ["div", "b", "table", "ul", "font", "a"])
def test_deeply_nested_markup_is_read(strict, tmp_path, tag):
    path = tmp_path / "deep.html"
    path.write_text(f"<{tag}>" * 5_000 + "bottom")
    assert "bottom" in strict.read(path).text


def test_markup_nested_so_deeply_that_parsing_is_quadratic_is_stopped(tmp_path):
    path = tmp_path / "deep.html"
    path.write_text("<div>" * 400_000 + "bottom")
    with (
        DocumentReader(Limits(seconds=1.0, seconds_per_mib=0.0)) as reader,
        pytest.raises(LimitError, match="too long"),
    ):
        reader.read(path)


def test_deeply_nested_docx_does_not_crash(refuse, make_docx):
    depth = 200_000
    refuse("nest.docx", make_docx("<w:p>" * depth + "</w:p>" * depth))


def test_one_line_of_200_megabytes_is_refused_at_once(strict, tmp_path):
    path = tmp_path / "line.txt"
    with path.open("wb") as file:
        file.truncate(200 << 20)
        file.write(b"x")
    with pytest.raises(LimitError, match="characters"):
        strict.read(path)


def test_one_long_line_within_the_limit_is_read(strict, tmp_path):
    path = tmp_path / "line.txt"
    path.write_bytes(b"word " * 300_000)
    assert len(strict.read(path).text) > 1_400_000


@pytest.mark.parametrize(
    "line",
    [
        b"#" + b" " * 500_000 + b"x",
        b"[" * 500_000,
        b"`" * 500_000,
        b"| " * 250_000,
        b"-" * 500_000 + b"x",
    ],
)
def test_markdown_lines_that_make_expressions_backtrack(strict, tmp_path, line):
    path = tmp_path / "slow.md"
    path.write_bytes(b"text\n" + line + b"\nend\n")
    assert "end" in strict.read(path).text


def test_text_with_some_nuls_loses_only_them(strict, tmp_path):
    path = tmp_path / "nul.txt"
    path.write_bytes(b"before\0after\0" * 3)
    assert strict.read(path).text.startswith("beforeafterbefore")


@pytest.mark.parametrize("name", ["noise.txt", "noise.md", "noise.html", "noise", "noise.csv"])
def test_binary_noise_is_no_text(refuse, name):
    noise = b"".join(zlib.compress(bytes([n]) * n)[2:] for n in range(1, 255)) * 20
    assert isinstance(refuse(name, noise), UnreadableError)


@pytest.mark.parametrize("name", ["x.pdf", "x.docx", "x.epub"])
def test_every_truncation_ends_in_a_document_or_an_error(strict, tmp_path, request, name):
    whole = {
        "x.pdf": lambda: request.getfixturevalue("pdf").pages("some text", "more text"),
        "x.docx": lambda: request.getfixturevalue("make_docx")(
            "<w:p><w:r><w:t>a</w:t></w:r></w:p>"
        ),
        "x.epub": lambda: request.getfixturevalue("make_epub")({"a.html": "<p>a"}),
    }[name]()
    path = tmp_path / name
    for end in range(1, len(whole), 37):
        path.write_bytes(whole[:end])
        try:
            assert strict.read(path).text
        except DocumentError as error:
            assert str(error).startswith(str(path))


def test_flipped_bytes_in_a_pdf_never_crash_the_reader(strict, tmp_path, pdf):
    whole = pdf.pages(
        "some text", "more text", catalogue=b"/PageLabels << /Nums [0 << /S /r >>] >>"
    )
    path = tmp_path / "flip.pdf"
    for at in range(0, len(whole), 23):
        damaged = bytearray(whole)
        damaged[at] ^= 0x15
        path.write_bytes(damaged)
        try:
            strict.read(path)
        except DocumentError as error:
            assert str(error).startswith(str(path))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_and_devices_are_refused_without_waiting(strict, tmp_path):
    fifo = tmp_path / "pipe.pdf"
    os.mkfifo(fifo)
    for path in (fifo, Path("/dev/zero")):
        with pytest.raises(UnreadableError, match="pipe, socket or device"):
            strict.read(path)


def test_link_to_itself_is_refused(strict, tmp_path):
    loop = tmp_path / "loop.pdf"
    loop.symlink_to(loop)
    with pytest.raises(UnreadableError, match="circle"):
        strict.read(loop)


def test_what_a_parser_quotes_is_cleaned(refuse, pdf):
    locked = pdf.encrypted(pdf.pages("text"), "")
    quoted = locked.replace(b"/StmF /StdCF", b"/StmF /S\x1b\x07CF")
    assert quoted != locked
    message = str(refuse("quote.pdf", quoted))
    assert "Crypt filter /SCF is missing" in message
    assert message.isprintable()


def test_a_ratio_that_only_bombs_have_is_refused_below_the_limit_of_bytes(refuse, make_zip):
    bomb = make_zip({"[Content_Types].xml": "<T/>", "word/document.xml": b" " * 5_000_000})
    assert "more than 200 to 1" in str(refuse("ratio.docx", bomb))
