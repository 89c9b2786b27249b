"""Which training data there is: files named on the command line become tokenised documents.

A path may be a JSON Lines file, a folder (of such files, plain text and anything else that the
reader knows), a single document, or a shell pattern of these. What is kept for measuring is decided
here, by document and by rule, so that training cannot see it.
"""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from sharedcli.errors import DocumentError, UnreadableError, UsageError
from sharedcli.ingest import DocumentReader, printable_path
from sharedcli.ingest.discover import FoundFile, find_files
from sharedcli.paths import home_path
from sharedcli.training.data_rules import DataRule
from sharedcli.training.dedup import without_repeats
from sharedcli.training.records import Record, join_by_source, read_records
from sharedcli.training.token_files import (
    VERSION,
    TokenFile,
    TokenisedDocument,
    open_token_file,
    write_token_file,
)

Tell = Callable[[str], None]
_DATA_SUFFIXES = (".jsonl", ".ndjson")
_DATA_PATTERNS = ("*.jsonl", "*.ndjson")


@dataclass(frozen=True)
class Source:
    """Tokenised documents of one path, split into those for training and those for measuring."""

    name: str
    weight: float
    file: TokenFile
    training: tuple[TokenisedDocument, ...]
    held: tuple[TokenisedDocument, ...]
    digest: str


@dataclass(frozen=True)
class _Data:
    """One path before reading: its files and the rule that holds for it."""

    path: Path
    files: tuple[FoundFile, ...]
    rule: DataRule
    lines: bool


def open_sources(
    paths: Sequence[str | Path],
    *,
    rules: Sequence[DataRule],
    holdout: Sequence[str],
    tokenizer: Any,
    tokenizer_digest: str,
    cache: Path,
    tell: Tell = lambda _: None,
) -> list[Source]:
    """Read and tokenise training data, or find it in ``cache``.

    Args:
        paths: files, folders and patterns.
        rules: of the recipe; the first whose pattern fits a file's name holds.
        holdout: parts of names of documents that are kept for measuring. In a file with such a
            document they are the only ones kept; elsewhere the rule's "every so many" holds.
        tell: takes sentences for the user: what is read, what could not be.

    Raises:
        UsageError: nothing there, or a holdout name fits no document.
        UnreadableError: a broken line of a data file.
    """
    sources: list[Source] = []
    for data in _find(paths, rules):
        if data.rule.weight == 0:
            continue
        key = _key(data, tokenizer_digest)
        file = open_token_file(cache, key)
        if file is None:
            tell(f"tokenising {printable_path(data.path)}")
            records = _records(data, tell)
            file = write_token_file(cache, key, records, tokenizer)
        if file is None:
            tell(f"{printable_path(data.path)} holds no text")
            continue
        training, held = _split(file.documents, data.rule, holdout)
        sources.append(Source(data.path.name, data.rule.weight, file, training, held, key))
    if not sources:
        raise UsageError(
            "there is nothing to train on; give --data a JSON Lines file, a folder or a document"
        )
    names = [document.source for source in sources for document in source.held]
    for part in holdout:
        if not any(part in name for name in names):
            raise UsageError(f"--holdout {part} is in no document's source; check the name")
    return sources


def _find(paths: Sequence[str | Path], rules: Sequence[DataRule]) -> list[_Data]:
    found: list[_Data] = []
    for path in (one for given in paths for one in _matches(given)):
        if path.is_dir():
            for inner in find_files([path], include=_DATA_PATTERNS):
                found.append(_Data(inner.path, (), _rule(inner.path, rules), True))
            files = tuple(find_files([path], exclude=_DATA_PATTERNS))
            if files:
                found.append(_Data(path, files, _rule(path, rules), False))
        elif path.suffix in _DATA_SUFFIXES:
            found.append(_Data(path, (), _rule(path, rules), True))
        else:
            found.append(_Data(path, tuple(find_files([path])), _rule(path, rules), False))
    unique = {data.path.resolve(): data for data in found}
    return list(unique.values())


def _matches(given: str | Path) -> list[Path]:
    path = home_path(given)
    if path.exists():
        return [path]
    matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207
    if not matches:
        raise UsageError(f"--data {given} matches no file; check the path")
    return matches


def _rule(path: Path, rules: Sequence[DataRule]) -> DataRule:
    name = path.resolve().name
    return next((rule for rule in rules if fnmatch(name, rule.match)), DataRule())


def _key(data: _Data, tokenizer_digest: str) -> str:
    """Digest of everything that the token file depends on."""
    digest = hashlib.sha256()
    for path in [data.path] if data.lines else [file.path for file in data.files]:
        digest.update(path.name.encode("utf-8", "surrogateescape") + b"\0")
        try:
            with path.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            if data.lines:
                raise UnreadableError(
                    f"{printable_path(path)} cannot be read ({error.strerror}); check the name "
                    "and its permissions"
                ) from error
    rule = data.rule
    how = [VERSION, tokenizer_digest, data.lines, rule.join, rule.deduplicate, asdict(rule.fields)]
    digest.update(json.dumps(how).encode())
    return digest.hexdigest()[:40]


def _records(data: _Data, tell: Tell) -> list[Record]:
    if data.lines:
        records = list(read_records(data.path, data.rule.fields))
    else:
        records = list(_documents(data.files, tell))
    if data.rule.join:
        records = join_by_source(records)
    return without_repeats(records) if data.rule.deduplicate else records


def _documents(files: Sequence[FoundFile], tell: Tell) -> Iterator[Record]:
    """Read the user's own documents; one that cannot be read is told and passed over."""
    with DocumentReader() as reader:
        for file in files:
            if file.problem is not None:
                tell(f"{file.source} {file.problem}; left out")
                continue
            try:
                document = reader.read(file.path)
            except DocumentError as error:
                tell(f"{error}; left out")
                continue
            yield Record(document.source, document.text)


def _split(
    documents: Sequence[TokenisedDocument], rule: DataRule, holdout: Sequence[str]
) -> tuple[tuple[TokenisedDocument, ...], tuple[TokenisedDocument, ...]]:
    named = {
        i
        for i, document in enumerate(documents)
        if any(part in document.source for part in holdout)
    }
    every = rule.holdout_every
    # a lone document would leave nothing to train on
    by_rule = range(0, len(documents), every) if every and len(documents) > 1 else ()
    kept = named or set(by_rule)
    training = tuple(d for i, d in enumerate(documents) if i not in kept)
    return training, tuple(d for i, d in enumerate(documents) if i in kept)
