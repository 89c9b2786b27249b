"""How ``train`` looks: one moving line of progress, lasting lines for what was measured."""

from __future__ import annotations

import time
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from sharedcli.cli.render import facts, plain_table
from sharedcli.cli.session import Session
from sharedcli.cli.wording import duration, size
from sharedcli.ingest.sanitise import printable_path
from sharedcli.training.observer import Observer

if TYPE_CHECKING:
    from sharedcli.training.estimate import Estimate
    from sharedcli.training.heldout import Table

_EVERY = 30.0
"""Seconds between lasting lines about steps."""


class TrainingView(Observer):
    """Draws a run; with ``--json`` it writes one object per event to stdout instead."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._last_line = time.monotonic()
        self._losses: list[float] = []
        session.activity.update("loading the model and the data")

    def told(self, sentence: str) -> None:
        """A sentence for the user."""
        if self._session.json:
            self._session.emit({"event": "note", "text": sentence})
        self._session.terminal.aside(sentence)
        self._session.activity.update(sentence)

    def stepped(self, record: dict[str, Any], share: float) -> None:
        """A step: moves the line, and now and then leaves one."""
        if self._session.json:
            self._session.emit({"event": "step", "share": round(share, 5), **_plain(record)})
        self._losses = [*self._losses[-49:], record["next_token"]]
        loss = sum(self._losses) / len(self._losses)
        speed = f"{record['tokens_per_second']:,.0f} tokens/s"
        speed += f", {record['peak_share']:.0%} of peak"
        text = f"training, loss {loss:.3f}"
        self._session.activity.update(
            f"step {record['step']} ({record['stage']})",
            share * 100,
            100,
            unit="%",
            speed=f"{text} · {speed}",
        )
        if record["skipped"]:
            self._session.terminal.warning(f"step {record['step']}: loss was no number, skipped")
        now = time.monotonic()
        if now - self._last_line >= _EVERY or share >= 1:
            self._last_line = now
            self._session.terminal.note(
                f"step {record['step']}  {share:.0%}  loss {loss:.3f}  {speed}"
            )

    def measured(self, step: int, tables: list[Table]) -> None:
        """Held-out losses side by side."""
        for table in tables:
            if self._session.json:
                self._session.emit({"event": "heldout", "step": step, **table.to_plain()})
            if self._session.quiet:
                continue
            names = list(table.losses)
            shown = plain_table(f"STEP {step}, {table.kind.upper()}", *names, right=tuple(names))
            shown.add_row(Text("loss"), *(Text(f"{table.losses[n]:.3f}") for n in names))
            closed = ["" for _ in names]
            for ratio, share in table.gap_closed.items():
                closed[names.index(f"injected@{ratio}")] = f"{share:.0%}"
            shown.add_row(Text("gap closed", style="dim"), *map(Text, closed))
            self._session.terminal.err.print(shown)

    def saved(self, path: Path) -> None:
        """A checkpoint was written."""
        if self._session.json:
            self._session.emit({"event": "checkpoint", "path": str(path)})

    def close(self) -> None:
        """Stop what moves."""
        self._session.activity.stop()

    def finished(self, folder: Path) -> None:
        """Say where the adapter is."""
        self.close()
        if self._session.json:
            self._session.emit({"event": "finished", "adapter": str(folder)})
        else:
            self._session.terminal.show(Text(printable_path(folder)))
        self._session.terminal.aside(f"use it with --adapter {folder}")


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN."""
    return {k: None if isinstance(v, float) and not isfinite(v) else v for k, v in record.items()}


def show_estimate(session: Session, found: Estimate) -> None:
    """Print what a run would take."""
    if session.json:
        session.emit({"event": "estimate", **found.to_plain()})
        return
    rows = [
        ("base", f"{found.base_parameters / 1e6:,.1f}M parameters, frozen"),
        ("trained", _counts(found.trained)),
        ("data", f"{found.training_tokens:,} tokens for training, {found.held_tokens:,} held out"),
        ("questions", f"{found.questions:,}"),
        ("steps", f"{found.steps:,}" if found.steps else "as many as the minutes allow"),
        ("tokens a step", f"{found.tokens_per_step:,.0f}"),
        ("tokens in all", f"{found.tokens:,.0f}"),
        ("memory", f"about {size(found.memory_bytes)}"),
    ]
    rows += [(e.name, f"{duration(e.seconds)} ({e.basis})") for e in found.times]
    session.terminal.show(facts(rows))


def _counts(parts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count / 1e6:.2f}M" for name, count in parts.items() if count)
