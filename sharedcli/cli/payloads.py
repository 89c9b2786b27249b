"""The JSON schemas of the command line: records as plain objects. See ``docs/reference/cli.md``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sharedcli.answer.answer import Answer, Timings
    from sharedcli.engine.events import IndexCounts, IndexEvent
    from sharedcli.ingest.document import Document, Page
    from sharedcli.store.identity import TreeIdentity
    from sharedcli.store.records import DocumentRecord

Payload = dict[str, Any]


def document(record: DocumentRecord) -> Payload:
    """One document of the library."""
    return asdict(record)


def index_event(event: IndexEvent) -> Payload:
    """One line of ``index --json``."""
    payload: Payload = {"event": event.kind}
    if event.source:
        payload["file"] = event.source
    if event.kind == "found":
        payload["files"] = event.total
    if event.kind == "compressing":
        payload.update(done_tokens=event.done, tokens=event.total)
    if event.kind in ("failed", "skipped"):
        payload["reason"] = event.reason
    if event.record is not None:
        payload["document"] = document(event.record)
    if event.kind == "indexed":
        payload.update(
            changed=event.changed, warnings=event.warnings, seconds=round(event.seconds, 3)
        )
    if event.kind == "renamed":
        payload["previous"] = event.previous
    if event.kind == "planned":
        action = "changed" if event.changed else "new"
        payload.update(action=action, warnings=event.warnings)
    if event.counts is not None:
        payload.update(counts(event.counts))
    if event.estimate is not None:
        payload["estimate"] = asdict(event.estimate)
    return payload


def counts(found: IndexCounts) -> Payload:
    """The totals of one run of ``index``."""
    speed = found.tokens / found.seconds if found.seconds else 0.0
    payload = asdict(found)
    payload.update(seconds=round(found.seconds, 3), tokens_per_second=round(speed, 1))
    return payload


def answer(found: Answer) -> Payload:
    """The object of ``ask --json``; call it when the answer has come to its end."""
    return {
        "question": found.question,
        "answer": found.text.strip(),
        "found": found.found,
        "unstated": None if found.unstated is None else round(found.unstated, 4),
        "confidence": None if found.confidence is None else round(found.confidence, 4),
        "corrected": [asdict(one) for one in found.corrected],
        "unsupported": found.unsupported,
        "citations": citations(found),
        "evidence": asdict(found.evidence),
        "usage": asdict(found.usage),
        "timings": timings(found.timings),
        "model": found.model,
        "adapter": found.adapter,
    }


def citations(found: Answer) -> list[Payload]:
    """Its sources, and of each what it has of the answer: a whole sentence, figures and names."""
    payloads = []
    for source, stated, held in zip(found.sources, found.stated, found.held, strict=True):
        payload = asdict(source) | {"stated": stated, "holds": held}
        del payload["around"], payload["path"]
        payloads.append(payload)
    return payloads


def timings(found: Timings) -> Payload:
    """Seconds, to the millisecond."""
    names = ("load", "search", "inject", "first_token", "decode", "total")
    return {name: round(getattr(found, name), 3) for name in names}


def page(found: Page) -> Payload:
    """One page, without its text."""
    return {"page": found.number, "label": found.label, "characters": found.end - found.start}


def whole_document(record: DocumentRecord, identity: TreeIdentity, text: Document) -> Payload:
    """The object of ``show --json``: the record, who made the tree, and the pages."""
    return {
        "document": document(record),
        "made_by": asdict(identity),
        "page_list": [page(one) for one in text.pages],
    }
