"""What follows an answer on stderr: its sources, what the model was given, how long it took."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sharedcli.answer.document_names import first_distinct
from sharedcli.cli.render import Terminal, clean
from sharedcli.cli.wording import duration, place, plural

if TYPE_CHECKING:
    from sharedcli.answer.answer import Answer, Evidence
    from sharedcli.answer.citations import Citation
    from sharedcli.answer.corrections import Correction

_ENDED = {
    "length": "cut there (--max-tokens)",
    "repetition": "ended where it began to repeat itself",
}
_CONFIDENCE = ((0.8, "high"), (0.6, "fair"), (0.0, "low: read the sources"))
"""From which probability on what is said; how often each is right is in docs/reference."""

SHOWN = 3
"""Sources shown; ``--json`` has them all."""

SHOWN_SPECIFICS = 3
"""Figures and names shown of a source."""


def show_evidence(terminal: Terminal, answer: Answer) -> None:
    """Print sources, evidence and timings."""
    if terminal.quiet:
        return
    terminal.note("")
    _sources(terminal, answer)
    terminal.note("")
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(style="dim")
    for name, text in (
        ("Evidence", evidence_text(answer.evidence)),
        ("Confidence", confidence_text(answer.confidence)),
        ("Table", corrected_text(answer.corrected)),
        ("Check", unsupported_text(answer.unsupported)),
        ("Time", timing_text(answer)),
        ("Model", model_text(answer)),
    ):
        if text:
            table.add_row(name, Text(clean(text, 1000)))
    terminal.tell(table)


def below_turn(answer: Answer) -> str:
    """Below an answer in a conversation: pages, what a table says, how sure it is, how it ended."""
    sure = confidence_text(answer.confidence)
    table = corrected_text(answer.corrected)
    more = (table, sure and f"confidence {sure}", _ENDED.get(answer.usage.ended))
    return " · ".join([_source_line(answer.sources), *filter(None, more)])


def show_not_found(terminal: Terminal, answer: Answer) -> None:
    """Say that the documents hold nothing about it."""
    reason = answer.evidence.note or "the documents hold no answer"
    terminal.note(Text.assemble(("not found: ", "yellow"), clean(reason)))


def evidence_text(evidence: Evidence) -> str:
    """What the decoder was given, in one sentence."""
    parts = [plural(evidence.passages, "passage") + " verbatim"]
    if evidence.slots:
        parts.append(
            f"{plural(evidence.slots, 'slot')} for {plural(evidence.context_tokens, 'token')} "
            f"of {plural(len(evidence.chunks), 'chunk')}"
        )
    if evidence.note:
        parts.append(evidence.note)
    return " · ".join(parts)


def confidence_text(confidence: float | None) -> str:
    """How sure the decoder was of its least sure word; "" if it said nothing."""
    if confidence is None:
        return ""
    return next(f"{confidence:.2f}, {said}" for least, said in _CONFIDENCE if confidence >= least)


def corrected_text(corrected: Sequence[Correction]) -> str:
    """Which figures are those of a table, not the model's; "" if none."""
    return " · ".join(
        f"{one.instead} is “{one.row}” of {one.year}; the model said {one.said}"
        for one in corrected
    )


def unsupported_text(unsupported: Sequence[str]) -> str:
    """What of an answer no source has; "" if nothing."""
    if not unsupported:
        return ""
    stand = "stands" if len(unsupported) == 1 else "stand"
    return f"{_quoted(unsupported)} {stand} in none of the sources"


def timing_text(answer: Answer) -> str:
    """Where the time went."""
    found = answer.timings
    speed = (answer.usage.answer_tokens - 1) / found.decode if found.decode > 0 else 0.0
    parts = [
        f"{duration(found.load)} loading",
        f"{duration(found.search)} searching",
        f"first word after {duration(found.first_token)}",
        f"{duration(found.total)} in all",
    ]
    if speed > 0:
        parts.append(f"{speed:.1f} tokens/s")
    return " · ".join(parts)


def model_text(answer: Answer) -> str:
    """Model, adapter and the decoder's window."""
    adapter = "no adapter" if answer.adapter == "none" else f"adapter {answer.adapter}"
    usage = answer.usage
    ended = _ENDED.get(usage.ended)
    return (
        f"{answer.model} · {adapter} · {plural(usage.prompt_tokens, 'token')} in, "
        f"{usage.answer_tokens:,} out{f', {ended}' if ended else ''}"
    )


def _sources(terminal: Terminal, answer: Answer) -> None:
    """The first pages with their quotes; a name that all share is said once."""
    sources, stated, held = answer.sources, answer.stated, answer.held
    names = _short_names(sources)
    shared = len(names) == 1
    heading = Text("Sources", style="bold")
    if shared:
        heading.append(f"  {next(iter(names.values()))}", style="not bold")
    terminal.note(heading)
    for number, source in enumerate(sources[:SHOWN], start=1):
        where = clean(place(source.page, source.label, source.paged, source.paragraph), 80)
        name = "" if shared else f"{names[source.doc_id]}, "
        says = ("", "")
        if stated[number - 1]:
            says = (" · says so word for word", "green")
        elif held[number - 1]:  # no sign that it is right: it may have it of something else
            says = (f" · has {_quoted(held[number - 1])}", "dim")
        terminal.note(Text.assemble((f"{number:>3}  ", "cyan"), name, (where, "bold"), says))
        quote = Text(f"“{clean(source.quote)}”", style="dim")
        terminal.tell(Padding(quote, (0, 0, 0, 5), expand=False))
    if (rest := len(sources) - SHOWN) > 0:
        terminal.note(Text(f"     and {plural(rest, 'more page')}", style="dim"))


def _quoted(texts: Sequence[str]) -> str:
    """The first three in quotation marks."""
    more = " and more" if len(texts) > SHOWN_SPECIFICS else ""
    return ", ".join(f"“{clean(text, 60)}”" for text in texts[:SHOWN_SPECIFICS]) + more


def _source_line(sources: Sequence[Citation]) -> str:
    """The first pages in one line: "report.pdf p. 12 · p. 14"."""
    names = _short_names(sources)
    parts = []
    shown = ""
    for source in sources[:SHOWN]:
        name = names[source.doc_id]
        where = clean(place(source.page, source.label, source.paged, source.paragraph), 80)
        parts.append(where if name == shown else f"{name} {where}")
        shown = name
    return " · ".join(parts)


def _short_names(sources: Sequence[Citation]) -> dict[str, str]:
    """By document's id: file names, or paths where two have the same name, whole if need be."""
    documents = {source.doc_id: source for source in sources}
    shown = first_distinct(
        {key: PurePath(one.doc).name or one.doc for key, one in documents.items()},
        {key: one.doc for key, one in documents.items()},
        {key: one.path or one.doc for key, one in documents.items()},
    )
    return {key: clean("standard input" if name == "-" else name) for key, name in shown.items()}
