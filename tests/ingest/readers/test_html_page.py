from __future__ import annotations

import pytest

from sharedcli.errors import NoTextError


def test_visible_text_by_headings(read):
    document = read(
        "page.html",
        """<!DOCTYPE html><html><head><title>The  Title</title><style>p{}</style></head><body>
        <p>Intro   with <b>bold</b><i>face</i>.</p><script>alert(1)</script>
        <h1>One <small>1</small></h1><p>First<br>line two</p>
        <div hidden>gone</div><div style="display: none">gone</div><template>gone</template>
        <h2></h2><h2>Two</h2><ul><li>a<li>b</ul><noscript>gone</noscript><pre>x
   y</pre></body></html>""",
    )
    assert document.title == "The Title"
    assert document.media_type == "text/html"
    assert [page.label for page in document.pages] == [None, "One 1", "Two"]
    assert document.text == (
        "Intro with boldface.\n\nOne 1\n\nFirst\nline two\n\nTwo\n\n- a\n- b\n\nx\n   y\n\n"
    )


def test_rows_keep_their_numbers(read):
    document = read(
        "table.html",
        "<table><tr><th>Year<th>2022<th>2021</tr><tr><td><p>Net sales</p><td><div>34,229</div>"
        "<td>35,355</tr></table><p>after",
    )
    assert document.text == "Year | 2022 | 2021\nNet sales | 34,229 | 35,355\n\nafter\n\n"


_ROWS = [("Sales", 10, 11, 12), ("Costs", 5, 6, 7), ("Taxes", 1, 2, 3), ("Other", 4, 4, 4)]


def _table(*rows, cell="<td>{}</td>", blank="<td>&nbsp;</td>"):
    lines = (
        f"<tr><td>{name}</td>" + "".join(cell.format(v) if v else blank for v in values) + "</tr>"
        for name, *values in rows
    )
    return f"<table>{''.join(lines)}</table>"


def test_a_figure_stays_under_its_year(read):
    rows = [("", 2022, 2021, 2020), *_ROWS, ("Impairment", "", "", 217), ("Gains", 8, "", "")]
    lines = read("blank.html", _table(*rows)).text.split("\n")
    assert lines[0] == "2022 | 2021 | 2020"
    assert lines[5:7] == ["Impairment | — | — | 217", "Gains | 8 | — | —"]


def test_columns_of_blanks_and_signs_get_no_dash(read):
    spaced = "<td></td><td>$</td><td>{}</td><td></td>"
    text = read(
        "spaced.html",
        _table(*_ROWS, ("Gains", 8, "", 9), cell=spaced, blank="<td></td><td colspan=3></td>"),
    ).text
    assert text.split("\n")[0] == "Sales | $ | 10 | $ | 11 | $ | 12"
    assert text.split("\n")[4] == "Gains | $ | 8 | — | $ | 9"


@pytest.mark.parametrize(
    "markup",
    [
        _table(_ROWS[0], ("Gains", 8, "", 9)),
        _table(*_ROWS, ("Gains", 8, "", 9)).replace("<td>10", "<td rowspan=2>10"),
        f"<table><tr><td>1<td>2<td>3{_table(*_ROWS, ('Gains', 8, '', 9))[7:-8]}<tr><td>4<td>"
        "<table></table></table>",
        _table(("Ann", "x", "y"), ("Bob", "x", ""), ("Cid", "", "y"), ("Dot", "x", "y")),
    ],
    ids=["too few rows", "a cell of several rows", "a table inside", "words"],
)
def test_no_dash_where_columns_are_uncertain(read, markup):
    assert "—" not in read("uncertain.html", markup).text


@pytest.mark.parametrize("before", ["Sales", "Other"])
def test_a_caption_may_be_a_heading(read, before):
    row = f"<tr><td>{before}"
    rows = _table(*_ROWS, *_ROWS[1:], ("Gains", 8, "", 9))
    markup = rows.replace(row, f"<caption><h2>Half</h2></caption>{row}", 1)
    document = read("caption.html", markup)
    assert document.pages[-1].label == "Half"
    assert "Gains | 8 | — | 9" in document.text


def test_entities_and_nesting_errors(read):
    assert read("e.html", "<p>a &lt;b&gt; &amp; &#233; &nbsp;c</b></p></div>d").text == (
        "a <b> & é c\n\nd\n\n"
    )


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        ('<meta charset="iso-8859-1">', "cp1252"),
        ('<meta http-equiv="Content-Type" content="text/html; charset=windows-1251">', "cp1251"),
        ("<meta charset=Shift_JIS>", "shift_jis"),
        ("<meta charset=shift_jis>", "cp932"),
        ("<meta charset=gb2312>", "gb18030"),
        ("<meta charset=big5>", "big5hkscs"),
        ("<meta charset=euc-kr>", "cp949"),
        ("<meta charset=iso-2022-jp>", "iso2022_jp"),
        ("<?xml version='1.0' encoding='koi8-r'?>", "koi8-r"),
    ],
)
def test_declared_encoding(read, head, encoding):
    """Pages are written in the supersets of what they declare."""
    word = {
        "cp1252": "Zürich “x”",
        "shift_jis": "吾輩は猫",
        "cp932": "第①章 ㈱山田",
        "gb18030": "朱镕基",
        "big5hkscs": "香港嘅",
        "cp949": "똠방각하",
        "iso2022_jp": "日本語の頁",
    }.get(encoding, "счастливые")
    document = read("old.html", f"{head}<p>{word}".encode(encoding))
    assert document.text.strip() == word


@pytest.mark.parametrize("codec", ["rot13", "zlib", "unicode_escape", "no-such", "punycode"])
def test_declared_codec_that_is_no_encoding_is_ignored(read, codec):
    data = f"<meta charset={codec}><p>Über Zürich nach Köln, sehr schön".encode("cp1252")
    assert "nach K" in read("odd.html", data).text


def test_html_without_suffix_is_recognised(read):
    document = read("download", b"\n<!-- saved --><!doctype HTML><title>T</title><p>text")
    assert (document.title, document.text.strip()) == ("T", "text")


def test_page_without_text(read):
    with pytest.raises(NoTextError, match="holds no text"):
        read("none.html", "<script>only()</script>")
