"""Documents with pages, and questions whose evidence page is known.

Two kinds of sets: files with pages (``file``, ``evidence``: [{``page_index``, ``text``}]), and
passages with extractive answers, which are joined into documents of many pages so that there is
something to search.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random

from sharedcli.errors import UsageError
from sharedcli.evaluation.items import Item
from sharedcli.evaluation.reading import patient_reader
from sharedcli.ingest.document import Document, Page

PAGE_CHARS = 3000
TEXTS = 14
"""Texts that are joined into one document: about 110 pages of papers."""

ANSWER_CHARS = 8
"""A shorter answer may stand on any page by chance."""

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class PageQuestion:
    """A question with the pages (numbers from 1) that hold its evidence.

    ``span`` is the answer's half-open character span in the document, where it is known.
    """

    id: str
    document: str
    text: str
    pages: frozenset[int]
    span: tuple[int, int] | None = None


def page_questions(
    items: Sequence[Item], *, texts: int = TEXTS, page_chars: int = PAGE_CHARS
) -> tuple[dict[str, Document], list[PageQuestion]]:
    """Return documents by name and the questions about them.

    Raises:
        UsageError: no question names its evidence or holds its answer word for word.
        DocumentError: a file cannot be read.
    """
    filed = [item for item in items if item.path is not None]
    documents, questions = _files(filed)
    joined, asked = _joined([i for i in items if i.path is None], texts, page_chars)
    documents |= joined
    questions += asked
    if not questions:
        raise UsageError(
            "no question has its evidence in these files; retrieval needs evidence with "
            "page_index, or answers that stand in the context word for word"
        )
    return documents, questions


def _files(items: Sequence[Item]) -> tuple[dict[str, Document], list[PageQuestion]]:
    documents: dict[str, Document] = {}
    questions = []
    with patient_reader() as reader:
        for item in items:
            path = Path(str(item.path))
            if not item.evidence:
                continue
            if path.name not in documents:
                documents[path.name] = _named(reader.read(path), path.name)
            document = documents[path.name]
            pages = {evidence_page(document, index, text) for index, text in item.evidence}
            questions.append(PageQuestion(item.id, path.name, item.question, frozenset(pages)))
    return documents, questions


def _named(document: Document, name: str) -> Document:
    return Document(
        name,
        document.title,
        document.media_type,
        document.sha256,
        document.text,
        document.pages,
        document.paged,
    )


def evidence_page(document: Document, index: int, text: str) -> int:
    """Return the number, from 1, of the page that holds ``text``.

    Published page numbers count from 0 or 1, and some are off. The page ``index`` (from 0) counts,
    unless another shares clearly more words with the evidence.
    """
    wanted = Counter(_WORD.findall(text.lower()))

    def shared(page: Page) -> int:
        words = _WORD.findall(document.text[page.start : page.end].lower())
        return sum((wanted & Counter(words)).values())

    best = max(document.pages, key=shared)
    if not 0 <= index < len(document.pages):
        return best.number
    stated = document.pages[index]
    return (stated if shared(stated) >= 0.95 * shared(best) else best).number


def _joined(
    items: Sequence[Item], texts: int, page_chars: int
) -> tuple[dict[str, Document], list[PageQuestion]]:
    groups: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        groups.setdefault((item.dataset, item.group), []).append(item)
    by_set: dict[str, list[list[Item]]] = {}
    for (dataset, _), found in groups.items():
        by_set.setdefault(dataset, []).append(found)
    documents: dict[str, Document] = {}
    questions: list[PageQuestion] = []
    for dataset, passages in by_set.items():
        for first in range(0, len(passages), texts):
            name = f"{dataset}-{first}"
            document, asked = _join(name, passages[first : first + texts], page_chars)
            if asked:
                documents[name] = document
                questions += asked
    return documents, questions


def _join(
    name: str, passages: Sequence[Sequence[Item]], page_chars: int
) -> tuple[Document, list[PageQuestion]]:
    text = ""
    spans: list[tuple[Item, int, int]] = []
    for items in passages:
        context = items[0].context
        for item in items:
            answer = item.answers[0].strip() if item.answers else ""
            if len(answer) >= ANSWER_CHARS and context.count(answer) == 1:
                start = len(text) + context.index(answer)
                spans.append((item, start, start + len(answer)))
        text += context + "\n\n"
    edges = [0]
    while len(text) - edges[-1] > page_chars:
        cut = text.rfind(" ", edges[-1] + 1, edges[-1] + page_chars)
        edges.append(cut if cut > edges[-1] else edges[-1] + page_chars)
    edges.append(len(text))
    pages = tuple(Page(n, None, a, b) for n, (a, b) in enumerate(pairwise(edges), 1))
    asked = [
        PageQuestion(
            item.id,
            name,
            item.question,
            frozenset(page.number for page in pages if page.start < end and page.end > start),
            (start, end),
        )
        for item, start, end in spans
    ]
    return Document(name, name, "text/plain", "0" * 64, text, pages, paged=False), asked


def sample(questions: Sequence[PageQuestion], limit: int | None, seed: int) -> list[PageQuestion]:
    """Return all questions, or ``limit`` of them drawn by ``seed``, in their order."""
    if limit is None or limit >= len(questions):
        return list(questions)
    chosen = set(Random(f"{seed}/pages").sample(range(len(questions)), limit))
    return [question for at, question in enumerate(questions) if at in chosen]
