"""What is going on right now: one line on stderr that moves, on a terminal only.

Off a terminal nothing is drawn, so logs hold finished lines alone.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from sharedcli.cli.render import Terminal, clean
from sharedcli.cli.wording import duration

Amount = Callable[[float], str]


def _number(amount: float) -> str:
    return f"{amount:,.0f}"


class _Bar(ProgressColumn):
    """A bar where the total is known, else nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._bar = BarColumn(bar_width=24, complete_style="cyan", finished_style="cyan")

    def render(self, task: Task) -> object:  # type: ignore[override]
        return self._bar.render(task) if task.total else Text()


class _Count(ProgressColumn):
    """How much is done, of how much, how fast, for how long."""

    def __init__(self) -> None:
        super().__init__(Column(no_wrap=True))

    def render(self, task: Task) -> Text:
        amount: Amount = task.fields["amount"]
        parts = []
        if task.total:
            unit = task.fields["unit"]
            parts.append(f"{amount(task.completed)} / {amount(task.total)} {unit}".rstrip())
        elif task.completed:
            parts.append(f"{amount(task.completed)} {task.fields['unit']}".rstrip())
        if (speed := task.fields["speed"]) is not None:
            parts.append(speed)
        if task.elapsed and task.elapsed >= 1:
            parts.append(duration(task.elapsed))
        return Text(" · ".join(parts), style="dim")


class Activity:
    """One moving line; a context manager. ``stop`` removes it for good.

    Nothing appears before the first ``update``.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._progress: Progress | None = None
        self._text = ""

    def __enter__(self) -> Activity:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def update(
        self,
        text: str,
        done: float = 0,
        total: float | None = None,
        *,
        unit: str = "",
        amount: Amount = _number,
        speed: str | None = None,
    ) -> None:
        """Say what goes on. The clock restarts when ``text`` changes."""
        if not self._terminal.animated:
            return
        if self._progress is None:
            self._progress = self._start()
        task = self._progress.tasks[0]
        task.total = total  # ``update`` cannot make a known total unknown
        task.fields.update(unit=unit, amount=amount, speed=speed)
        if text != self._text:
            self._text = text
            self._progress.reset(task.id, completed=int(done), description=clean(text, 60))
        else:
            self._progress.update(task.id, completed=done)

    def line(self, text: Text) -> None:
        """Print a line that stays, above the moving one."""
        self._terminal.note(text)

    def stop(self) -> None:
        """Remove the moving line."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
            self._text = ""

    def _start(self) -> Progress:
        progress = Progress(
            SpinnerColumn("dots", style="cyan", finished_text="⠿"),
            TextColumn(
                "{task.description}",
                markup=False,
                table_column=Column(no_wrap=True, overflow="ellipsis"),
            ),
            _Bar(),
            _Count(),
            console=self._terminal.err,
            transient=True,
            redirect_stdout=False,  # stdout is data: it must never be led to stderr
            redirect_stderr=False,
        )
        progress.start()
        progress.add_task("", total=None, unit="", amount=_number, speed=None)
        return progress
