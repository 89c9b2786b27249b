"""Question sets in JSON Lines: ours and the published ones, told apart by their fields.

| format | fields of a line |
|---|---|
| ours | ``context`` (or ``file``), and ``qa``: [``question``, ``answers``, ``choices``?] |
| ours, one question a line | ``context`` (or ``file``), ``question``, ``answers``, ``choices``? |
| LongBench | ``context``, ``input``, ``answers``, ``dataset``, ``all_classes`` |
| LongBench v2 | ``context``, ``question``, ``choice_A`` to ``choice_D``, ``answer`` |
| L-Eval | ``input`` (the document), ``instructions``, ``outputs``, ``evaluation``? |
| InfiniteBench | ``context``, ``input``, ``answer``, ``options``? |
| BAMBOO | ``content``, ``answer``, and ``question``, ``options`` or ``hypothesis`` |

A file may also be one JSON array of such objects. Further fields do not matter. Texts may be lists
of texts, references one text or lists or SQuAD's objects, choices lists or objects by letter.

The first line decides for the file. A line that lacks a field is refused with its number. Published
questions that nobody can answer (no options, a reference that is none of them) are left out and
counted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sharedcli.errors import UnreadableError, UsageError
from sharedcli.evaluation import published
from sharedcli.evaluation.items import FREE, LONG, Item, texts
from sharedcli.evaluation.rows import Row, UnusableError, choice
from sharedcli.ingest.sanitise import printable_path

Reader = Callable[[Row], Iterator[Item]]
SHORT_WORDS = 20
"""A reference of more words asks for a long answer."""
LINE_BYTES = 64_000_000
"""A longer line is refused: it is no question about a document."""
ARRAY_BYTES = 1_000_000_000
"""A larger array is refused: it is read at once."""


def _ours(row: Row) -> Iterator[Item]:
    pairs = row.data["qa"]
    if isinstance(pairs, dict):
        pairs = [pairs]
    if not isinstance(pairs, list):
        raise row.wrong("qa", "a list of objects with question and answers")
    for number, pair in enumerate(pairs):
        if not isinstance(pair, dict):
            raise row.wrong("qa", "a list of objects with question and answers")
        yield _question(row.inside(pair, f"/{number}"), row)


def _single(row: Row) -> Iterator[Item]:
    yield _question(row, row)


def _document_path(row: Row) -> Path:
    """The file that ``file`` names: beside the question set, else as it is."""
    name = row.get("file", str)
    for path in (row.path.parent / name, Path(name)):
        if path.is_file():
            return path
    raise UnreadableError(
        f"{row.where}: there is no file {printable_path(name)}, neither beside the question set "
        "nor here; put it there, or name its full path"
    )


def _question(pair: Row, row: Row) -> Item:
    file = row.data.get("file")
    path = _document_path(row) if file is not None else None
    context = "" if path else row.text("context")
    group = file or row.text_group(context)
    key = "answers" if "answers" in pair.data else "answer"
    found = texts(pair.data.get(key, []))
    if found is None:
        raise pair.wrong(key, "a text or a list of texts")
    given = pair.data.get("answerable")
    answerable = bool(found) if given is None else bool(given)
    if key not in pair.data and given is None:
        raise pair.missing("answers")
    options = pair.data.get("choices") or pair.data.get("options") or ()
    base: dict[str, Any] = {"id": pair.id, "group": group, "context": context, "path": path}
    base["name"] = pair.name
    question = pair.text("question")
    if options:
        return choice(pair, question, options, found, **base)
    pages = tuple(
        (int(one["page_index"]), str(one.get("text", "")))
        for one in pair.data.get("evidence") or ()
        if isinstance(one, dict) and "page_index" in one
    )
    short = min((len(one.split()) for one in found), default=0) <= SHORT_WORDS
    return Item(
        question=question,
        answers=found,
        scores=FREE if short else LONG,
        answerable=answerable,
        evidence=pages,
        hint="Answer with as few words as possible." if short else "",
        max_tokens=64 if short else 256,
        dataset=row.path.stem,
        **base,
    )


_FORMATS: tuple[tuple[str, tuple[str, ...], Reader], ...] = (
    ("L-Eval", ("input", "instructions", "outputs"), published.leval),
    ("LongBench", ("context", "input", "answers"), published.longbench),
    (
        "LongBench v2",
        ("context", "question", "choice_A", "choice_B", "answer"),
        published.longbench2,
    ),
    ("InfiniteBench", ("context", "input", "answer"), published.infinitebench),
    ("BAMBOO", ("content", "answer"), published.bamboo),
    ("sharedcli", ("context", "qa"), _ours),
    ("sharedcli", ("file", "question", "answer"), _single),
    ("sharedcli", ("file", "question", "answers"), _single),
    ("sharedcli", ("context", "question", "answers"), _single),
    ("sharedcli", ("context", "question", "answer"), _single),
    ("sharedcli", ("context", "question", "answerable"), _single),
)
KNOWN = "; ".join(f"{name}: {', '.join(keys)}" for name, keys, _ in _FORMATS if name != "sharedcli")


@dataclass(frozen=True)
class QuestionSet:
    """What was read: the items in order, and by file the lines that nobody could answer."""

    items: list[Item]
    unusable: dict[str, list[int]]

    @property
    def notes(self) -> list[str]:
        """One sentence for each file with unusable lines."""
        return [
            f"{name}: {len(lines)} questions whose options or reference are broken were left out "
            f"(lines {', '.join(map(str, lines[:10]))}{', ...' if len(lines) > 10 else ''})"
            for name, lines in self.unusable.items()
        ]


def read_items(paths: Sequence[Path], limit: int | None = None) -> QuestionSet:
    """Read the questions of JSON Lines files, in order.

    Args:
        paths: files.
        limit: go no further in a file than so many answerable questions; None reads all.

    Raises:
        UnreadableError: a file is missing or no text.
        UsageError: a line is no JSON object, or lacks a field; names file and line.
    """
    items: list[Item] = []
    unusable: dict[str, list[int]] = {}
    seen: dict[str, Path] = {}
    for path in paths:
        if (other := seen.setdefault(path.stem, path)) is not path:
            raise UsageError(
                f"{printable_path(other)} and {printable_path(path)} have the same name, and "
                "records tell items by it; rename one of them"
            )
        answerable = 0
        for item in _file(path, unusable):
            items.append(item)
            answerable += item.answerable
            if answerable == limit:
                break
    if not items:
        raise UsageError(
            f"there is no usable question in {', '.join(map(printable_path, paths))}; "
            "give JSON Lines with questions"
        )
    return QuestionSet(items, unusable)


def json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line numbers and objects of a JSON Lines file, or numbers and entries of an array.

    Raises:
        UnreadableError, UsageError: as ``read_items``.
    """
    shown = printable_path(path)
    if path.is_dir():
        raise UnreadableError(f"{shown} is a folder; give JSON Lines files")
    try:
        with path.open("rb") as lines:
            if is_array(path):
                yield from _entries(lines.read(ARRAY_BYTES + 1), shown)
                return
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                if len(line) > LINE_BYTES:
                    raise UsageError(f"{shown}, line {number}: longer than {LINE_BYTES:,} bytes")
                yield number, _object(line, f"{shown}, line {number}")
    except OSError as error:
        reason = error.strerror or str(error)
        raise UnreadableError(f"{shown} cannot be read: {reason}; check the path") from error


def is_array(path: Path) -> bool:
    """Whether a file starts as a JSON array."""
    with path.open("rb") as file:
        return file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["


def _entries(data: bytes, shown: str) -> Iterator[tuple[int, dict[str, Any]]]:
    if len(data) > ARRAY_BYTES:
        raise UsageError(
            f"{shown}: an array of more than {ARRAY_BYTES:,} bytes; write it as JSON Lines"
        )
    try:
        found = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{shown}: not JSON ({error}); give one JSON object a line") from error
    for number, entry in enumerate(found, start=1):
        if not isinstance(entry, dict):
            raise UsageError(f"{shown}, entry {number}: not a JSON object")
        yield number, entry


def _object(line: bytes, where: str) -> dict[str, Any]:
    try:
        found = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # what is no UTF-8 is a ValueError too
        raise UsageError(f"{where}: not JSON ({error}); give one JSON object a line") from error
    if not isinstance(found, dict):
        raise UsageError(f"{where}: not a JSON object; give one JSON object a line")
    return found


def _file(path: Path, unusable: dict[str, list[int]]) -> Iterator[Item]:
    reader: Reader | None = None
    keys: tuple[str, ...] = ()
    name = unit = ""
    for number, data in json_rows(path):
        unit = unit or ("entry" if is_array(path) else "line")
        row = Row(path, number, data, unit=unit)
        if reader is None:
            name, keys, reader = _format(row)
        for key in keys:
            if key not in data:
                raise row.missing(key, f"a {name} line has {', '.join(keys)}")
        try:
            yield from reader(row)
        except UnusableError:
            unusable.setdefault(path.name, []).append(number)


def _format(row: Row) -> tuple[str, tuple[str, ...], Reader]:
    for name, keys, reader in _FORMATS:
        if all(key in row.data for key in keys):
            return name, keys, reader
    shared = [
        (sum(key in row.data for key in keys) / len(keys), keys, name) for name, keys, _ in _FORMATS
    ]
    share, keys, name = max(shared, key=lambda one: one[0])
    if share >= 0.5:
        lacking = next(key for key in keys if key not in row.data)
        raise row.missing(lacking, f"a {name} line has {', '.join(keys)}")
    raise UsageError(
        f"{row.where}: no question set that sharedcli knows (fields: "
        f"{', '.join(sorted(row.data)[:8]) or 'none'}); give context and qa, or one of these: "
        f"{KNOWN}"
    )
