"""How ``index`` looks: a moving line for the file at work, a lasting one for each that is done."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import PurePath

from rich.table import Table
from rich.text import Text

from sharedcli.cli.render import Terminal, clean, plain_table
from sharedcli.cli.render_activity import Activity
from sharedcli.cli.wording import duration, plural, size
from sharedcli.engine.events import Estimate, IndexCounts, IndexEvent, Stage

_NAME = 48
_RARE = ("renamed", "missing", "removed")
_ENDS = ("indexed", "failed", "skipped", "unchanged", "renamed", "planned")


class IndexView:
    """Draws the events of one run."""

    def __init__(self, terminal: Terminal, activity: Activity) -> None:
        self._terminal = terminal
        self._activity = activity
        self._files = 0
        self._done = 0
        self._source = ""
        self._began = 0.0
        self._failed: list[tuple[str, str]] = []

    def event(self, event: IndexEvent) -> None:
        """Draw one event."""
        match event.kind:
            case "found":
                self._files = event.total or 0
            case "reading":
                self._source = event.source
                self._activity.update(self._at("reading"))
            case "loading":
                self._activity.update("loading the model")
            case "compressing":
                self._compressing(event)
            case "indexed":
                self._indexed(event)
            case "failed":
                self._failed.append((event.source, event.reason))
                reason = "" if self._files > 1 else _rest(event.source, event.reason)
                self._line("✗", "red", event.source, reason)  # of several, a table says why
            case "skipped":
                self._line("-", "dim", event.source, event.reason)
            case "renamed":
                self._line("→", "cyan", event.source, f"was {event.previous}")
            case "missing":
                self._line("?", "yellow", event.source, "has no file any more; --prune removes it")
            case "removed":
                self._line("-", "yellow", event.source, "has no file any more")
            case "planned":
                again = " again" if event.changed else ""
                self._line("+", "green", event.source, f"{estimated(event.estimate)}{again}")
        if event.kind in _ENDS:
            self._done += 1

    def progress(self, stage: Stage, done: int, total: int | None) -> None:
        """Draw pages read and passages encoded."""
        verb = "reading" if stage == "pages" else "encoding"
        unit = "pages" if stage == "pages" else "passages"
        self._activity.update(self._at(verb), done, total, unit=unit)

    def end(self, done: IndexEvent) -> None:
        """Say what became of the files: reasons on stderr, the counts on stdout."""
        counts = done.counts or IndexCounts()
        if self._terminal.quiet:
            for _, reason in self._failed:
                self._terminal.error(reason)
            return
        if self._failed and self._files > 1:
            self._terminal.note("")
            self._terminal.tell(_failure_table(self._failed))
            self._terminal.note("")
        if not self._files:
            self._terminal.note("no documents there")
        line = summary(counts)
        if done.estimate is not None:
            line = Text.assemble("would be ", line, " · ", estimated(done.estimate))
        self._terminal.show(line)

    def _at(self, verb: str) -> str:
        name = clean(PurePath(self._source).name or self._source, _NAME)
        return (
            f"{verb} {name} ({self._done + 1} of {self._files})"
            if self._files > 1
            else (f"{verb} {name}")
        )

    def _compressing(self, event: IndexEvent) -> None:
        if event.done == 0:
            self._began = time.monotonic()
        seconds = time.monotonic() - self._began
        speed = f"{event.done / seconds:,.0f}/s" if event.done and seconds else None
        self._activity.update(
            self._at("compressing"), event.done, event.total, unit="tokens", speed=speed
        )

    def _indexed(self, event: IndexEvent) -> None:
        record = event.record
        assert record is not None
        parts = [
            plural(record.pages, "page" if record.paged else "part"),
            plural(record.tokens, "token"),
            size(record.stored_bytes),
            duration(event.seconds),
        ]
        self._line("✓", "green", event.source, " · ".join(parts))
        for warning in event.warnings:
            self._activity.line(Text(f"  {clean(warning)}", style="yellow"))

    def _line(self, mark: str, style: str, source: str, text: str) -> None:
        line = Text.assemble((mark, style), " ", clean(source, 1000))
        if text:
            line.append(f"  {clean(text)}", style="dim")
        self._activity.line(line)


def summary(counts: IndexCounts) -> Text:
    """The final line: "2 new, 1 changed, 40 unchanged, 0 failed, 0 skipped · 91,204 tokens ..."."""
    names = ("new", "changed", "unchanged", "renamed", "missing", "removed", "failed", "skipped")
    shown = {name: getattr(counts, name) for name in names}
    said = [f"{n:,} {name}" for name, n in shown.items() if n or name not in _RARE]
    text = Text(", ".join(said))
    if counts.tokens:
        speed = counts.tokens / counts.seconds if counts.seconds else 0
        text.append(
            f" · {plural(counts.tokens, 'token')} at {speed:,.0f}/s · {size(counts.stored_bytes)}"
        )
    return text


def _failure_table(failed: Sequence[tuple[str, str]]) -> Table:
    table = plain_table("FAILED", "REASON")
    table.columns[0].min_width = min(_NAME, max(len(source) for source, _ in failed))
    for column in table.columns:
        column.no_wrap, column.overflow = False, "fold"
    for source, reason in failed:
        table.add_row(Text(clean(source, 1000)), Text(clean(_rest(source, reason))))
    return table


def _rest(source: str, reason: str) -> str:
    name = "standard input" if source == "-" else source
    return reason.removeprefix(f"{name}: ")


def estimated(found: Estimate | None) -> str:
    """What indexing will take: "about 12,345 tokens · 3.4 MB · 2 min 05 s · 900 MB of memory"."""
    if found is None:
        return ""
    parts = [f"about {plural(found.tokens, 'token')}"]
    if found.bytes is not None:
        parts.append(size(found.bytes))
    if found.seconds is not None:
        parts.append(duration(found.seconds))
    if found.memory is not None:
        parts.append(f"{size(found.memory)} of memory")
    return " · ".join(parts)
