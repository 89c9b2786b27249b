"""Whole documents of every format, with as much of each format in them as its reader knows."""

import base64
import zlib
from pathlib import Path

import trial_setup as setup

from ingest_samples import Pdf, docx_bytes, epub_bytes, zip_bytes  # isort: skip

PDF = setup.TESTS.parent / "sharedcli" / "samples" / "halvard-ridge.pdf"

_CMAP = b"""/CIDInit /ProcSet findresource begin 12 dict begin begincmap
/CMapName /A def 1 begincodespacerange <0000> <FFFF> endcodespacerange
2 beginbfchar <0041> <00410042> <0042> <D835DC00> endbfchar
2 beginbfrange <0043> <0050> <0043> <0051> <0052> [<0051> <0052>] endbfrange
endcmap end end"""
_PAGE = (
    b"q 1 0 0 1 0 0 cm BT /F1 11 Tf 14 TL 72 720 Td (The lamp burned oil.) Tj T* "
    b"[(Net) -250 (sales) 3 <4142>] TJ 0 -14 TD (rang \\(twice\\) \\101) ' "
    b"/F2 9 Tf 1 0 0 1 90 500 Tm <00410042> Tj 3 Tr (hidden words of a scan) Tj 0 Tr ET Q "
    b"/X0 Do BI /W 1 /H 1 /BPC 8 /CS /G ID \xff EI"
)
_TABLE = b"\n".join(b"BT /F1 9 Tf 1 0 0 1 %d 600 Tm (%d) Tj ET" % (50 * n, n) for n in range(14))


def _rich_pdf(filters: bytes = b"", content: bytes = _PAGE) -> bytes:
    objects = Pdf.objects(
        [b"", _TABLE], b"/PageLabels << /Nums [0 << /S /r /St 4 >> 1 << /P (A-) /S /D >>] >>"
    )
    objects[4] = (
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Rotate 0 /Contents [5 0 R 5 0 R] "
        b"/Resources << /Font << /F1 3 0 R /F2 20 0 R >> /XObject << /X0 24 0 R >> >> >>"
    )
    objects[5] = Pdf.stream(content, filters)
    objects[20] = (
        b"<< /Type /Font /Subtype /Type0 /BaseFont /A /Encoding /Identity-H "
        b"/DescendantFonts [21 0 R] /ToUnicode 22 0 R >>"
    )
    objects[21] = (
        b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /A /DW 1000 /W [0 [500 600] 3 9 700] "
        b"/CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> "
        b"/FontDescriptor 23 0 R >>"
    )
    objects[22] = Pdf.stream(_CMAP)
    objects[23] = b"<< /Type /FontDescriptor /FontName /A /Flags 4 /MissingWidth 300 >>"
    objects[24] = Pdf.stream(
        b"BT /F1 9 Tf (form) Tj ET",
        b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /Font << /F1 3 0 R >> >>",
    )
    objects[25] = b"<< /Title (\xfe\xff\x00L\x00o\x00g) /Author (x) >>"
    return Pdf.file(objects, b"/Info 25 0 R")


_XML = '<?xml version="1.0" encoding="UTF-8"?>'
_STYLES = (
    _XML + '<w:styles W_NS><w:style w:styleId="h"><w:name w:val="heading 1"/></w:style>'
    '<w:style w:styleId="m"><w:name w:val="M"/><w:basedOn w:val="h"/></w:style></w:styles>'
)
_BODY = (
    '<w:p><w:pPr><w:pStyle w:val="h"/></w:pPr><w:r><w:t>Log</w:t></w:r></w:p>'
    '<w:p><w:r><w:rPr><w:vanish w:val="0"/></w:rPr><w:t>The lamp</w:t><w:tab/><w:br/>'
    "<w:noBreakHyphen/></w:r><w:ins><w:r><w:t>new</w:t></w:r></w:ins><w:del><w:r><w:delText>old"
    "</w:delText></w:r></w:del><w:moveFrom><w:r><w:t>away</w:t></w:r></w:moveFrom></w:p>"
    "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>1</w:t></w:r></w:p></w:tc><w:tc><w:tbl><w:tr><w:tc><w:p>"
    "<w:r><w:t>in</w:t></w:r></w:p></w:tc></w:tr></w:tbl></w:tc></w:tr></w:tbl>"
    '<w:p><w:pPr><w:numPr/><w:outlineLvl w:val="3"/></w:pPr><w:r><w:instrText>PAGE</w:instrText>'
    "<w:t>item</w:t></w:r></w:p><mc:AlternateContent><mc:Fallback><w:p/></mc:Fallback>"
    "</mc:AlternateContent>"
)
_NOTES = (
    _XML + '<w:footnotes W_NS><w:footnote w:id="1"><w:p><w:r><w:t>note</w:t></w:r></w:p>'
    "</w:footnote></w:footnotes>"
)
DOCX_PARTS = {
    "[Content_Types].xml": _XML + "<Types/>",
    "_rels/.rels": _XML + '<Relationships><Relationship Type="x/officeDocument" '
    'Target="word/document.xml"/></Relationships>',
    "docProps/core.xml": _XML + '<c xmlns:dc="d"><dc:title>A log</dc:title></c>',
}
EPUB_CHAPTERS = {
    "a.xhtml": _XML + "<html><head><title/><script src='a'/></head><body><h1>One<br/>a</h1>"
    "<p>The lamp<a id='n'/> burned</p></body></html>",
    "text/b.xhtml": "<html><head><title>B</title></head><body><p>oil &amp; wick &#x41;</p>"
    "<svg><text>no</text></svg></body></html>",
}
_ENCRYPTION = '<e xmlns="x"><CipherReference URI="OEBPS/font.otf"/></e>'
HTML = (
    "<!doctype html><html><head><meta charset='utf-8'><title>T</title><style>x{}</style></head>"
    "<body><h1>Log <b>of</b></h1><p>The <i>lamp</i> burned&nbsp;oil &#128; &bogus; &#xD800;</p>"
    "<table><tr><th>a</th><td>1<table><tr><td>x</td></tr></table></td></tr></table><pre> a\n b"
    "</pre><ul><li>x<ol><li>y</ol></ul><div hidden>no</div><p style='display: none'>no</p>"
    "<!-- c --><script>no</script><svg><title>no</title></svg><template><p>no</template>"
    "<select><option>o</select><textarea>t</textarea><![CDATA[x]]><h2>End</h2>\N{SNOWMAN}"
)
MARKDOWN = (
    "---\ntitle: 'Log'\n---\n# One *two* [x](y) #\n\n```py\n# no\n```\n~~~\n~~~\nTwo\n===\n"
    "text\n\nThree\n---\n> # q\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n    code\n1. item\n![i](j)\n"
)
TEXT = (
    "The lamp burned oil.\n\tÖl, naïve, 漢字\r\n\fNext page \N{PILE OF POO} e\u0301\u202e\u200b\n"
    * 3
)


def documents() -> dict[str, list[bytes]]:
    """Whole files by suffix; those of zip-based formats are made by ``archive_parts``."""
    flate = zlib.compress(_PAGE)
    plain = _rich_pdf()
    return {
        ".pdf": [
            PDF.read_bytes(),
            plain,
            plain,
            _rich_pdf(b"/Filter /FlateDecode /DecodeParms << /Predictor 12 /Columns 4 >>", flate),
            _rich_pdf(b"/Filter /ASCIIHexDecode", _PAGE.hex().encode() + b">"),
            _rich_pdf(b"/Filter [/ASCII85Decode /Fl]", base64.a85encode(flate) + b"~>"),
            _rich_pdf(b"/Filter /LZWDecode", b"\x80\x0b\x60\x50\x22\x0c\x0c\x85\x01"),
            _rich_pdf(b"/Filter /RunLengthDecode", b"\x03BT q\xfe \x80"),
            Pdf.encrypted(Pdf.pages("The lamp burned oil.", info=b"/Title (Log)"), ""),
            b"%PDF-1.7\n1 0 obj << /Type /ObjStm /N 1 /First 4 /Length 9 >> stream\n2 0 <<>>"
            + plain[9:],
        ],
        ".html": [HTML.encode(), HTML.replace("utf-8", "windows-1252").encode("cp1252", "replace")],
        ".md": [MARKDOWN.encode(), MARKDOWN.encode("utf-16")],
        ".txt": [TEXT.encode(), TEXT.encode("utf-16-le"), TEXT.encode("cp1252", "replace")],
        ".csv": [b'name,value\n"a, b",1\n"c ""d""",2\n' * 9],
        ".py": [Path(__file__).read_bytes()],
        ".doc": [b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 500 + "Word".encode("utf-16-le")],
    }


def archive_parts() -> dict[str, dict[str, bytes]]:
    """Members of the archives, by suffix."""
    whole = {
        ".docx": docx_bytes(_BODY, styles=_STYLES, footnotes=_NOTES),
        ".epub": epub_bytes(dict(EPUB_CHAPTERS), **{"META-INF/encryption.xml": _ENCRYPTION}),
    }
    parts = {suffix: members(data) for suffix, data in whole.items()}
    parts[".docx"].update({name: text.encode() for name, text in DOCX_PARTS.items()})
    return parts


def members(data: bytes) -> dict[str, bytes]:
    """All members of an archive."""
    import io
    import zipfile

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(parts: dict[str, bytes]) -> bytes:
    """An archive of these members."""
    return zip_bytes(dict(parts))


_PDF_WORDS = b"""
    /Type /Pages /Page /Kids /Count /Contents /Resources /Font /Filter /FlateDecode /LZWDecode
    /ASCII85Decode /RunLengthDecode /DCTDecode /JBIG2Decode /CCITTFaxDecode /Crypt /DecodeParms
    /Predictor /Columns /Length /ToUnicode /Encoding /Identity-H /Differences /W /Widths
    /DescendantFonts /XObject /Form /Encrypt /ObjStm /XRef /Prev /Root /Info /PageLabels /Nums
    /Rotate null true false obj endobj stream endstream xref trailer startxref << >> [ ] ( ) < >
    R 1 2 4 5 20 BT ET Tj TJ Tf Tm Td q Q cm Do BI ID EI ' beginbfchar endbfrange /F9 %
"""
WORDS: dict[str, tuple[bytes, ...]] = {
    ".pdf": tuple(_PDF_WORDS.split()),
    ".html": tuple(
        b"<table> </table> <tr> <td> <p> </p> <h1> </h1> <li> <pre> <svg> <math> <template> "
        b"<script> </script> <!-- --> <![CDATA[ &#0; &#x110000; &lt <plaintext> <frameset> <title> "
        b"<body> </body> hidden= style= < > / = ' <select> <form> <noscript> <br>".split()
    ),
    ".md": tuple(b"# ## ``` ~~~ --- === > | [ ]( ) ![ * ` - 1. title: \\ \n\n \n".split(b" ")),
    ".xml": tuple(
        b"<w:p> </w:p> <w:r> </w:r> <w:t> </w:t> <w:tbl> </w:tbl> <w:tc> </w:tc> <w:tr> </w:tr> "
        b"<w:del> </w:del> <!DOCTYPE <!ENTITY <![CDATA[ ]]> <?xml encoding= xmlns= &x; &#0; val= "
        b"idref= href= full-path= media-type= ../ %2e%2e%2f UTF-16 < > / =".split()
    ),
    ".txt": (b"\f", b"\r", b"\xe2\x80\xae", b"\x1b[31m", b"\xff", b"\0", b"\xf0\x9f", b"\n"),
    ".csv": (b'"', b",", b"\n", b"\0", b'""'),
    ".py": (),
    ".doc": ("EncryptedPackage".encode("utf-16-le"), b"\0", b"\xff"),
}
