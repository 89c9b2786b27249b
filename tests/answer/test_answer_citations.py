"""Citations: distinct pages, best first, and what was in the prompt is marked."""

from __future__ import annotations

import pytest

from sharedcli.answer.citations import Citation, cite
from sharedcli.ingest.document import Document, Page
from sharedcli.retrieve.rank import RankedPassage
from sharedcli.store.records import Passage

TEXT = "Front matter.\nThe oil rose. More oil.\nThe last page\nis about fog."
PAGES = (Page(1, "i", 0, 14), Page(2, None, 14, 38), Page(3, "1", 38, len(TEXT)))


def _document(source: str, *, paged: bool = True) -> Document:
    return Document(source, f"Title of {source}", "text/plain", "0" * 64, TEXT, PAGES, paged)


DOCUMENTS = {"a": _document("a.pdf"), "b": _document("b.txt", paged=False)}
LAST = TEXT.index("The last")


def _hit(doc: str, page: int, start: int, end: int, score: float) -> RankedPassage:
    return RankedPassage(doc, Passage(0, page, start, end), score)


RANKED = [
    _hit("a", 2, 14, 27, 0.912345),
    _hit("b", 3, LAST, len(TEXT), 0.8),
    _hit("a", 2, 28, 37, 0.7),
    _hit("a", 1, 0, 13, 0.6),
]


def test_each_page_once_best_first() -> None:
    found = cite(RANKED, DOCUMENTS, 10, 0)
    assert [(one.doc, one.page) for one in found] == [("a.pdf", 2), ("b.txt", 3), ("a.pdf", 1)]
    assert [one.score for one in found] == [0.9123, 0.8, 0.6]


def test_all_fields() -> None:
    assert cite(RANKED[1:2], DOCUMENTS, 10, 1) == (
        Citation(
            doc="b.txt",
            doc_id="b",
            title="Title of b.txt",
            page=3,
            label="1",
            quote="The last page is about fog.",
            score=0.8,
            paged=False,
            verbatim=True,
            paragraph=1,
            around="The last page\nis about fog.",
        ),
    )


def test_what_stands_around_a_passage_is_of_its_page_and_near() -> None:
    text = f"Before. {'a' * 5000} Oil rose. {'b' * 5000}After."
    pages = (Page(1, None, 0, 7), Page(2, None, 7, len(text)))
    document = Document("d.pdf", "D", "x", "0" * 64, text, pages)
    at = text.index("Oil")
    (found,) = cite([_hit("d", 2, at, at + 9, 0.5)], {"d": document}, 10, 0)
    assert found.around == f"{'a' * 1999} Oil rose. {'b' * 1999}"
    (found,) = cite([_hit("d", 1, 0, 7, 0.5)], {"d": document}, 10, 0)
    assert found.around == "Before."


def test_without_pages_the_paragraph_is_told() -> None:
    text = (
        "Results\n\nOil rose\nby four litres.\n \n\n- one\n- two\n\nFog is\nwhite. Rain fell.\n\n"
    )
    pages = (Page(1, "Results", 0, len(text)),)
    document = Document("d.docx", "D", "x", "0" * 64, text, pages, paged=False)
    hits = [
        _hit("d", 1, text.index(word), len(text), 0.5) for word in ("Fog", "Oil", "Results", "Rain")
    ]
    found = cite(hits, {"d": document}, 10, 0)
    assert [one.paragraph for one in found] == [3, 1]
    assert found[0].quote == "Fog is white. Rain fell."
    headless = Document("d.txt", "D", "x", "0" * 64, text, (Page(1, None, 0, len(text)),), False)
    assert [one.paragraph for one in cite(hits, {"d": headless}, 10, 0)] == [4, 2, 1]


def test_headings_above_the_sections_own_are_no_paragraphs() -> None:
    text = "# Guide\n\n## Use\n\nOil rose.\n\nFog fell.\n\n"
    document = Document("g.md", "G", "x", "0" * 64, text, (Page(1, "Use", 0, len(text)),), False)
    hits = [_hit("d", 1, text.index(word), len(text), 0.5) for word in ("Fog", "Oil", "Use", "Gu")]
    assert [one.paragraph for one in cite(hits, {"d": document}, 10, 0)] == [2, 1]


@pytest.mark.parametrize(
    ("heading", "label", "expected"),
    [
        ("## Install\n", "Install", 1),
        ("## The `install` command\n\n", "The install command", 1),
        ("## C#\n\n", "C#", 1),
        ("Install\n-------\n\n", "Install", 1),
        ("", "Install", 1),
        ("Another line.\n\n", "Install", 2),
    ],
)
def test_a_heading_is_no_paragraph_however_it_is_written(
    heading: str, label: str, expected: int
) -> None:
    text = f"{heading}Oil rose.\n\nFog fell.\n\n"
    document = Document("g.md", "G", "x", "0" * 64, text, (Page(1, label, 0, len(text)),), False)
    hits = [_hit("d", 1, text.index(word), len(text), 0.5) for word in ("Oil", "Fog")]
    found = [one.paragraph for one in cite(hits, {"d": document}, 10, 0)]
    assert found == [expected, expected + 1]


def test_a_short_quote_is_found_where_it_stands() -> None:
    address = "https://example.org/" + "a/" * 200
    text = "First.\n\n" * 6 + f"Lamps: {address} oil"
    document = Document("d.txt", "D", "x", "0" * 64, text, (Page(1, None, 0, len(text)),), False)
    (found,) = cite([_hit("d", 1, 0, len(text), 0.5)], {"d": document}, 10, 0, ["lamps"])
    assert found.quote == "Lamps: …"
    assert found.paragraph == 7


def test_the_paragraph_is_the_quotes_not_the_passages() -> None:
    text = "Nothing of note. " * 30 + "\n\n" + "The oil rose by four litres. " * 9
    document = Document("d.txt", "D", "x", "0" * 64, text, (Page(1, None, 0, len(text)),), False)
    (found,) = cite([_hit("d", 1, 0, len(text), 0.5)], {"d": document}, 10, 0, ["litres"])
    assert found.quote.startswith("The oil rose")
    assert found.paragraph == 2


def test_the_limit_counts_pages_not_passages() -> None:
    assert len(cite(RANKED, DOCUMENTS, 2, 0)) == 2
    assert cite(RANKED, DOCUMENTS, 0, 0) == ()
    assert cite([], {}, 10, 0) == ()


def test_what_was_in_the_prompt_is_marked() -> None:
    for verbatim, marked in ((0, []), (1, [True, False, False]), (3, [True, True, False])):
        found = [one.verbatim for one in cite(RANKED, DOCUMENTS, 10, verbatim)]
        assert found == (marked or [False] * 3)


def test_a_page_is_marked_by_its_best_passage() -> None:
    """The third passage is in the prompt with the first, on the same page."""
    found = cite([RANKED[3], RANKED[0], RANKED[2]], DOCUMENTS, 10, 2)
    assert [(one.page, one.verbatim) for one in found] == [(1, True), (2, True)]


def test_the_page_is_where_the_passage_begins() -> None:
    (one,) = cite([_hit("a", 2, 37, 40, 0.5)], DOCUMENTS, 10, 0)
    assert one.page == 2
