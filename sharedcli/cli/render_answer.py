"""What follows an answer on stderr: its sources, what the model was given, how long it took."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sharedcli.cli.render import Terminal, clean
from sharedcli.cli.wording import duration, place, plural

if TYPE_CHECKING:
    from sharedcli.answer.answer import Answer, Evidence
    from sharedcli.answer.citations import Citation

SHOWN = 5
"""Sources shown; ``--json`` has them all."""

_QUOTE = 170


def show_evidence(terminal: Terminal, answer: Answer) -> None:
    """Print sources, evidence and timings."""
    if terminal.quiet:
        return
    terminal.note("")
    terminal.note(Text("Sources", style="bold"))
    for number, source in enumerate(answer.sources[:SHOWN], start=1):
        _source(terminal, number, source)
    if (rest := len(answer.sources) - SHOWN) > 0:
        terminal.aside(f"    and {plural(rest, 'more page')} (--json has them)")
    terminal.note("")
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(style="dim")
    for name, text in (
        ("Evidence", evidence_text(answer.evidence)),
        ("Time", timing_text(answer)),
        ("Model", model_text(answer)),
    ):
        table.add_row(name, Text(clean(text, 1000)))
    terminal.err.print(table)


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
    return (
        f"{answer.model} · {adapter} · {plural(usage.prompt_tokens, 'token')} in, "
        f"{usage.answer_tokens:,} out"
    )


def _source(terminal: Terminal, number: int, source: Citation) -> None:
    name = clean("standard input" if source.doc == "-" else source.doc, 160)
    where = clean(place(source.page, source.label, source.paged), 80)
    line = Text.assemble((f"{number:>3} ", "cyan"), name, ", ", (where, "bold"))
    terminal.note(line)
    quote = Text(f"“{clean(source.quote, _QUOTE)}”", style="dim")
    if terminal.err.is_terminal:
        terminal.err.print(Padding(quote, (0, 0, 0, 4)))
    else:
        terminal.note(Text("    ") + quote)
