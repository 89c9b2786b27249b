"""Citations: pages that hold the evidence, with a quote that stands on the page word for word.

Where a document has no pages the place is a section, by its heading, and a paragraph in it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sharedcli.ingest.document import Document, Page, bare_heading
from sharedcli.retrieve.rank import RankedPassage
from sharedcli.store.ngrams import unspaced
from sharedcli.store.records import Passage

QUOTE_CHARS = 240
_AROUND = 2000
_LEAD = 40  # characters before a hit that make it readable
_SPACE = re.compile(r"\s+")
_WORD = re.compile(r"\w+")
_BLANK_LINES = re.compile(r"\n[ \t]*\n\s*")
_LOCATED_WORDS = 8
_LONGEST = 500  # characters of a heading that are looked at
_HEADINGS = 6  # as deep as markdown and HTML go
_SENTENCE = re.compile(r"[.!?][\"'”’)]? |[。！？][”’」』）]?")


@dataclass(frozen=True)
class Citation:
    """One page, or one paragraph of a section, of evidence.

    Attributes:
        doc: the document's source, as it was indexed.
        doc_id: its id in the store.
        title: its title.
        page: page number, from 1; the section's number where there are no pages.
        label: what is printed on the page, or the section's heading; None if unknown.
        quote: text of the page, white space folded, cut at a word.
        score: relevance within this question; comparable within one question only.
        paged: False if ``page`` counts sections.
        verbatim: True if the passage itself was in the prompt.
        paragraph: where there are no pages, the paragraph of the section in which the quote
            begins, from 1, its heading not counted; None where there are pages.
        path: where its file is, if known. Not in the JSON.
        around: the passage with what stands before and after it on the page. Not in the JSON.
    """

    doc: str
    doc_id: str
    title: str
    page: int
    label: str | None
    quote: str
    score: float
    paged: bool = True
    verbatim: bool = False
    paragraph: int | None = None
    path: str = field(default="", repr=False)
    around: str = field(default="", repr=False)


def cite(
    ranked: Sequence[RankedPassage],
    documents: Mapping[str, Document],
    limit: int,
    verbatim: int,
    terms: Sequence[str] = (),
    *,
    places: Mapping[str, str] | None = None,
) -> tuple[Citation, ...]:
    """Return the first ``limit`` distinct places of ``ranked``, best first.

    Args:
        ranked: passages, best first.
        documents: those that they are in, by id.
        limit: places at most.
        verbatim: how many of the first passages were in the prompt.
        terms: words of the question; each quote is the part of its passage that has most of them.
        places: where the documents' files are, by id.
    """
    found: dict[tuple[str, int, int | None], Citation] = {}
    for order, hit in enumerate(ranked):
        if len(found) == limit:
            break
        document = documents[hit.doc_id]
        page = document.page_at(hit.passage.start)
        shown = quote(document.text[hit.passage.start : hit.passage.end], terms)
        paragraph = None if document.paged else _paragraph(document, page, hit.passage, shown)
        key = (hit.doc_id, hit.passage.page, paragraph)
        if key in found:
            continue
        found[key] = Citation(
            doc=document.source,
            doc_id=hit.doc_id,
            title=document.title,
            page=page.number,
            label=page.label,
            quote=shown,
            score=round(hit.score, 4),
            paged=document.paged,
            verbatim=order < verbatim,
            paragraph=paragraph,
            path=(places or {}).get(hit.doc_id, ""),
            around=_around(document, page, hit.passage),
        )
    return tuple(found.values())


def _around(document: Document, page: Page, passage: Passage) -> str:
    """The passage and up to ``_AROUND`` characters of its page on either side."""
    first, last = max(page.start, passage.start - _AROUND), min(page.end, passage.end + _AROUND)
    return document.text[first:last]


def _paragraph(document: Document, section: Page, passage: Passage, shown: str) -> int:
    """Return the number of the paragraph in which a quote of the passage begins."""
    words = shown.removeprefix("… ").removesuffix(" …").split()[:_LOCATED_WORDS]
    begins = re.compile(r"\s+".join(map(re.escape, words)))
    at = begins.search(document.text, passage.start, passage.end)
    start = at.start() if at else passage.start
    before = document.text[section.start : start]
    number = len(_BLANK_LINES.findall(before.lstrip())) + 1
    # headings that had nothing below them stand above the section's own
    blocks = _BLANK_LINES.split(document.text[section.start : section.end].strip(), _HEADINGS)
    return max(1, number - _headings(blocks[:_HEADINGS], section.label))


def _headings(blocks: Sequence[str], label: str | None) -> int:
    """How many of a section's first blocks are headings and nothing else, its own the last."""
    for number, block in enumerate(blocks if label else ()):
        line = block.partition("\n")[0][:_LONGEST]
        if bare_heading(block[:_LONGEST]) == bare_heading(label or ""):
            return number + 1
        if bare_heading(line) == bare_heading(label or ""):
            return number  # its text follows on the next line
    return 0


def quote(text: str, terms: Sequence[str] = ()) -> str:
    """Return the part of a passage that has most of ``terms``, cut at words, with ellipses.

    A part that begins with a sentence goes before one that does not, an earlier before a later.
    """
    folded = _SPACE.sub(" ", text).strip()
    if len(folded) <= QUOTE_CHARS:
        return folded
    stems = {term.casefold()[: max(4, len(term) - 2)] for term in terms}
    hits = list(_hits(folded, stems))
    starts = [0, *(end.end() for end in _SENTENCE.finditer(folded))]
    sentences = {starts[bisect_right(starts, at) - 1] for at, _ in hits} or {0}
    near = {_word_start(folded, max(0, at - _LEAD)) for at, _ in hits}

    def worth(start: int) -> tuple[int, bool, int]:
        inside = {stem for at, stem in hits if start <= at < start + QUOTE_CHARS - _LEAD}
        return len(inside), start in sentences, -start

    start = max(sentences | near, key=worth)
    cut = folded[start : start + QUOTE_CHARS]
    before = "" if start in sentences or start == 0 else "… "
    if start + QUOTE_CHARS >= len(folded):
        return before + cut
    end = _word_start(folded, start + QUOTE_CHARS)
    return f"{before}{(folded[start:end] if end > start else cut).rstrip()} …"


def _hits(text: str, stems: Collection[str]) -> Iterator[tuple[int, str]]:
    """Where words begin with a stem; one of a script without blanks may stand anywhere."""
    for word in _WORD.finditer(text):
        for stem in stems:
            if word.group().casefold().startswith(stem):
                yield word.start(), stem
    for stem in filter(unspaced, stems):
        yield from ((at.start(), stem) for at in re.finditer(re.escape(stem), text))


def _word_start(text: str, at: int) -> int:
    """The start of the word at a place; the place itself where no blanks are written."""
    return at if unspaced(text[at : at + 1]) else text.rfind(" ", 0, at) + 1
