from __future__ import annotations

import pytest

from sharedcli.errors import EncryptedError, NoTextError, UnreadableError

STYLES = (
    '<w:styles W_NS><w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>'
    '<w:style w:styleId="Mine"><w:name w:val="Mine"/><w:basedOn w:val="berschrift1"/></w:style>'
    '<w:style w:styleId="Body"><w:name w:val="Body Text"/></w:style></w:styles>'
)


def p(*runs: str, style: str = "") -> str:
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}{''.join(runs)}</w:p>"


def r(text: str, properties: str = "") -> str:
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def test_sections_paragraphs_and_breaks(read, make_docx):
    body = p(r("Intro"), r(" text")) + p(r("Erstens"), style="berschrift1")
    body += p(r("one"), "<w:r><w:tab/><w:t>two</w:t><w:br/><w:t>three</w:t></w:r>", style="Body")
    body += p(r("Zweitens"), style="Mine") + p(r("Ende &amp; aus"))
    document = read("d.docx", make_docx(body, styles=STYLES))
    assert [page.label for page in document.pages] == [None, "Erstens", "Zweitens"]
    assert not document.paged
    assert document.text == (
        "Intro text\n\nErstens\n\none\ttwo\nthree\n\nZweitens\n\nEnde & aus\n\n"
    )


def test_tables_keep_rows_together(read, make_docx):
    def row(*cells: str) -> str:
        return "<w:tr>" + "".join(f"<w:tc>{cell}</w:tc>" for cell in cells) + "</w:tr>"

    inner = "<w:tbl>" + row(p(r("in")), p(r("ner"))) + "</w:tbl>"
    table = "<w:tbl>" + row(p(r("Net sales")), p(r("34,229")), p(r("35,355")))
    table += row(p(r("Cost")) + p(r("of sales")), p(r("19,232")), inner) + "</w:tbl>"
    document = read("t.docx", make_docx(p(r("Before")) + table + p(r("After"))))
    assert document.text == (
        "Before\n\nNet sales | 34,229 | 35,355\nCost of sales | 19,232 | in | ner\n\nAfter\n\n"
    )


def test_lists(read, make_docx):
    item = "<w:p><w:pPr><w:numPr/></w:pPr>{}</w:p>"
    body = p(r("List:")) + item.format(r("one")) + item.format(r("two")) + p(r("end"))
    assert read("l.docx", make_docx(body)).text == "List:\n\n- one\n- two\n\nend\n\n"


def test_what_is_not_printed_is_left_out(read, make_docx):
    body = p(r("kept"), "<w:del><w:r><w:delText>gone</w:delText></w:r></w:del>", r("."))
    body += p(r("gone", "<w:vanish/>"), r("shown", '<w:vanish w:val="0"/>'))
    body += p("<w:moveFrom>" + r("gone") + "</w:moveFrom>", "<w:ins>" + r("new") + "</w:ins>")
    body += p("<w:r><w:instrText>PAGEREF gone</w:instrText></w:r>", r("field"))
    box = "<w:txbxContent>" + p(r("box")) + "</w:txbxContent>"
    body += p(
        "<w:r><mc:AlternateContent><mc:Choice>"
        + box
        + "</mc:Choice><mc:Fallback>"
        + box
        + "</mc:Fallback></mc:AlternateContent></w:r>",
        r("around"),
    )
    text = read("x.docx", make_docx(body)).text
    assert text == "kept.\n\nshown\n\nnew\n\nfield\n\nbox\n\naround\n\n"


def test_notes_follow_the_text(read, make_docx):
    notes = f"<w:footnotes W_NS><w:footnote>{p(r('see there'))}</w:footnote></w:footnotes>"
    document = read("n.docx", make_docx(p(r("text")), footnotes=notes))
    assert [page.label for page in document.pages] == [None, "Footnotes"]
    assert document.text.endswith("see there\n\n")


def test_title(read, make_zip):
    members = {
        "[Content_Types].xml": "<T/>",
        "word/document.xml": f"<d>{p(r('x')).replace('w:', '').replace('xml:space', 'q')}</d>",
        "docProps/core.xml": '<c xmlns:dc="http://purl.org/dc/elements/1.1/">'
        "<dc:title>The Title</dc:title></c>",
    }
    assert read("t.docx", make_zip(members)).title == "The Title"


def test_known_by_content_not_by_name(read, make_docx):
    assert read("renamed.bin", make_docx(p(r("found")))).text.strip() == "found"


def test_other_office_files_and_archives(read, make_zip):
    sheet = make_zip({"[Content_Types].xml": "<T/>", "xl/workbook.xml": "<w/>"})
    with pytest.raises(UnreadableError, match="no Word document"):
        read("sheet.xlsx", sheet)
    with pytest.raises(UnreadableError, match="unpack"):
        read("stuff.zip", make_zip({"a.txt": "x"}))


def test_broken_xml(read, make_docx):
    with pytest.raises(UnreadableError, match="damaged XML"):
        read("b.docx", make_docx("<w:p><w:r>"))


def test_empty_document(read, make_docx):
    with pytest.raises(NoTextError):
        read("e.docx", make_docx("<w:p/>"))


def test_old_and_protected_office_files(read):
    magic = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
    with pytest.raises(UnreadableError, match="old Office"):
        read("old.doc", magic)
    with pytest.raises(EncryptedError):
        read("locked.docx", magic + "EncryptedPackage".encode("utf-16-le"))
