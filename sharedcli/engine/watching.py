"""Follow folders as they change: wait until they are quiet, then index them again.

Notable choices:
- A round is a whole run of ``index`` over the folders, not an update per notice: notices get lost
  and come doubled, while a run over files that have not changed costs a fraction of a second and
  loads no model.
- A round tells only what is news: no unchanged file, no document that was told missing before, and
  a file that failed is passed over until it changes.
- What the store and the caches write is no change, wherever they lie.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sharedcli.engine.events import IndexEvent
from sharedcli.engine.filters import Filters
from sharedcli.errors import SharedCLIError, StoreLockedError, UsageError

STEP_MS = 50
"""How often notices are asked for, and how soon Ctrl-C is heard."""

_PAUSE_MS = 200
_LONGEST_WAIT_S = 30.0
_AGAIN_AFTER_LOCK_S = 5.0


class Watcher:
    """Follows folders.

    Args:
        folders: paths of folders.
        index: called with the folders and ``filters=``; yields the events of one round.
        filters: which files are taken.
        ours: folders whose changes are this program's own.
        on_note: told sentences for the user.

    Raises:
        UsageError: one of ``folders`` is no folder.
    """

    def __init__(
        self,
        folders: Sequence[str],
        index: Callable[..., Iterator[IndexEvent]],
        filters: Filters,
        *,
        ours: Sequence[Path],
        on_note: Callable[[str], None],
    ) -> None:
        for folder in folders:
            if not Path(folder).is_dir():
                raise UsageError(f"{folder} is no folder; watch follows folders, index takes files")
        self._folders = list(folders)
        self._index = index
        self._filters = filters
        self._ours = [str(path.resolve()) for path in ours]
        self._tops = [str(Path(folder).resolve()) for folder in folders]
        self._on_note = on_note
        self._missing: set[str] = set()
        self._due: float | None = None

    def run(self, settle: float, poll: bool) -> Iterator[IndexEvent]:
        """Yield the events of the first round, "watching", and then the news of each round.

        Raises:
            SharedCLIError: a folder is gone, or the system cannot watch so many.
            KeyboardInterrupt: on Ctrl-C.
        """
        notices = self._notices(poll)
        next(notices)  # from here on no change is missed
        yield from self._round(first=True)
        for folder in self._folders:
            yield IndexEvent("watching", folder)
        began = 0.0
        for changed in notices:
            now = time.monotonic()
            if changed:
                began = began if self._due is not None else now
                self._due = min(now + settle, began + _LONGEST_WAIT_S)
            if self._due is not None and now >= self._due:
                self._due = None
                self._refuse_if_gone()
                yield from self._round()

    def _notices(self, poll: bool) -> Iterator[bool]:
        """Yield every moment whether something changed."""
        changes = self._open(poll)
        while True:
            try:
                yield bool(next(changes))
            except RuntimeError as error:
                # A file's name is no valid Unicode: it cannot be told, but something has changed.
                if "decode path" not in str(error):
                    raise self._unwatchable(error) from error
                changes = self._open(poll)
                next(changes)
                yield True
            except (OSError, UnicodeEncodeError) as error:
                raise self._unwatchable(error) from error

    def _open(self, poll: bool) -> Iterator[set[Any]]:
        from watchfiles import watch

        return watch(
            *self._tops,
            watch_filter=lambda _kind, path: self._counts(path),
            debounce=_PAUSE_MS,
            step=STEP_MS,
            rust_timeout=_PAUSE_MS,
            yield_on_timeout=True,
            force_polling=poll or None,
            ignore_permission_denied=True,
        )

    def _unwatchable(self, error: Exception) -> SharedCLIError:
        return SharedCLIError(
            f"the system cannot watch {', '.join(self._folders)}: {error}; try --poll, or run "
            "`sharedcli index` again and again"
        )

    def _counts(self, path: str) -> bool:
        """Whether a change of ``path`` may be one of the documents."""
        if any(path == own or path.startswith(own + "/") for own in self._ours):
            return False
        if self._filters.hidden:
            return "/.git/" not in path
        top = max((top for top in self._tops if path.startswith(top)), key=len, default="")
        names = path[len(top) :].split("/")
        return names[-1] == ".gitignore" or not any(name.startswith(".") for name in names)

    def _refuse_if_gone(self) -> None:
        for folder in self._folders:
            if not Path(folder).is_dir():
                raise SharedCLIError(
                    f"{folder} is gone; nothing was removed: bring it back and run the same "
                    "command again"
                )

    def _round(self, *, first: bool = False) -> Iterator[IndexEvent]:
        """Index once and yield the news; a store that is in use is tried again later."""
        held: list[IndexEvent] = []
        failed: dict[str, tuple[int, int]] = {}
        try:
            for event in self._index(self._folders, filters=self._filters):
                if event.kind == "failed":
                    failed[event.source] = event.seen
                if self._is_news(event) or first:
                    yield from held
                    held.clear()
                    yield event
                elif event.kind == "found":
                    held.append(event)
                elif event.kind == "done" and not held:
                    yield event
        except StoreLockedError as error:
            self._on_note(f"{error}; trying again in {_AGAIN_AFTER_LOCK_S:.0f} s")
            self._due = time.monotonic() + _AGAIN_AFTER_LOCK_S
        # these, and not what has become of them meanwhile: a copy may have been finished
        passed_over = {**self._filters.passed_over, **failed}
        self._filters = replace(self._filters, passed_over=passed_over)

    def _is_news(self, event: IndexEvent) -> bool:
        if event.kind == "missing" and event.record is not None:
            known = event.record.id in self._missing
            self._missing.add(event.record.id)
            return not known
        return event.kind not in ("found", "unchanged", "skipped", "done")
