from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharedcli.errors import LimitError, NoTextError
from sharedcli.ingest.assemble import Assembler
from sharedcli.ingest.limits import Limits
from sharedcli.ingest.reading import Section

FACTS = {"media_type": "text/plain", "paged": True, "sha256": "0" * 64}


SECTIONS = st.lists(
    st.tuples(st.text(max_size=30) | st.sampled_from(["# A", "A"]), st.none() | st.just("A")),
    min_size=1,
)


@given(SECTIONS, st.booleans())
def test_pages_cover_the_text_without_gaps(sections, paged):
    assembler = Assembler("a.txt", Limits())
    for text, label in sections:
        assembler.add(Section(text, label))
    try:
        document = assembler.finish(title=None, warnings=[], **{**FACTS, "paged": paged})
    except NoTextError:
        assert not any(text.strip("\x00").strip() and text.isprintable() for text, _ in sections)
        return
    count = len(sections) if paged else len(document.pages)
    assert [page.number for page in document.pages] == list(range(1, count + 1))
    assert [page.start for page in document.pages] == [
        0,
        *(page.end for page in document.pages[:-1]),
    ]
    assert document.pages[-1].end == len(document.text)
    for page in document.pages:
        for offset in range(page.start, page.end):
            assert document.page_at(offset) == page


def test_titles_labels_and_warnings_are_clean_lines():
    assembler = Assembler("dir/\x1b[31mname\n.txt", Limits())
    assembler.add(Section("text", "a\x1b]0;x\x07b\n c" + "d" * 500))
    document = assembler.finish(title="T\n\u202eitle", warnings=["w\x9b31m\x07"], **FACTS)
    assert document.source == r"dir/\x1b[31mname\x0a.txt"
    assert document.title == "T itle"
    assert document.pages[0].label.startswith("ab c")
    assert len(document.pages[0].label) == 120
    assert document.warnings == ("w",)


@pytest.mark.parametrize(
    ("sections", "labels"),
    [
        ([("# Guide", "Guide"), ("## Use\n\nRun it.", "Use")], ["Use"]),
        ([("Guide\n=====", "Guide"), ("1 | 2", None)], [None]),
        ([("# A", "A"), ("## B", "B"), ("c", "C"), ("# D", "D")], ["C", "D"]),
        ([("# A\n\nA", "A"), ("b", "B")], ["A", "B"]),
        ([("", None), ("---", None), ("b", "B")], ["B"]),
        ([("text", None), ("b", "B")], [None, "B"]),
    ],
)
def test_a_heading_alone_belongs_to_the_section_below(sections, labels):
    def finish(paged):
        assembler = Assembler("a.md", Limits())
        for text, label in sections:
            assembler.add(Section(text, label))
        return assembler.finish(title=None, warnings=[], **{**FACTS, "paged": paged})

    document = finish(paged=False)
    assert [page.label for page in document.pages] == labels
    assert document.text == finish(paged=True).text
    assert len(finish(paged=True).pages) == len(sections)


def test_limits():
    assembler = Assembler("a", Limits(text_chars=10, pages=2))
    with pytest.raises(LimitError, match="10 characters"):
        assembler.add(Section("x" * 11))
    assembler = Assembler("a", Limits(pages=2))
    assembler.add(Section(""))
    assembler.add(Section(""))
    with pytest.raises(LimitError, match="2 sections"):
        assembler.add(Section(""))


@pytest.mark.parametrize(
    ("title", "shown"),
    [("0001437749-23-003123", "filing.pdf"), ("  ", "filing.pdf"), ("10-K", "10-K")],
)
def test_a_title_without_a_letter_gives_way_to_the_files_name(title: str, shown: str) -> None:
    assembler = Assembler("dir/filing.pdf", Limits())
    assembler.add(Section("text", "label"))
    assert assembler.finish(title=title, warnings=[], **FACTS).title == shown
