"""Citations: pages that hold the evidence, with a quote that stands on the page word for word."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sharedcli.ingest.document import Document
from sharedcli.retrieve.rank import RankedPassage

QUOTE_CHARS = 240
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class Citation:
    """One page of evidence.

    Attributes:
        doc: the document's source, as it was indexed.
        doc_id: its id in the store.
        title: its title.
        page: page number, from 1; the section's number where there are no pages.
        label: what is printed on the page, or the section's heading; None if unknown.
        quote: text of the page, white space folded, cut at a word.
        score: relevance within this question, between 0 and 1.
        paged: False if ``page`` counts sections.
        verbatim: True if the passage itself was in the prompt.
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


def cite(
    ranked: Sequence[RankedPassage],
    documents: Mapping[str, Document],
    limit: int,
    verbatim: int,
) -> tuple[Citation, ...]:
    """Return the first ``limit`` distinct pages of ``ranked``, best first.

    ``verbatim`` is how many of the first passages were in the prompt.
    """
    found: dict[tuple[str, int], Citation] = {}
    for place, hit in enumerate(ranked):
        key = (hit.doc_id, hit.passage.page)
        if key in found:
            continue
        if len(found) == limit:
            break
        document = documents[hit.doc_id]
        page = document.page_at(hit.passage.start)
        found[key] = Citation(
            doc=document.source,
            doc_id=hit.doc_id,
            title=document.title,
            page=page.number,
            label=page.label,
            quote=_quote(document.text[hit.passage.start : hit.passage.end]),
            score=round(hit.score, 4),
            paged=document.paged,
            verbatim=place < verbatim,
        )
    return tuple(found.values())


def _quote(text: str) -> str:
    folded = _SPACE.sub(" ", text).strip()
    if len(folded) <= QUOTE_CHARS:
        return folded
    return folded[:QUOTE_CHARS].rsplit(" ", 1)[0] + " …"
