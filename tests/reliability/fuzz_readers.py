"""Damaged documents of every format, read as a folder of them is read."""

import random
from pathlib import Path

import fuzz_samples as whole
from fuzz_mutate import crossed, mutated
from fuzz_run import Run

from sharedcli.errors import DocumentError, UnreadableError
from sharedcli.ingest import process
from sharedcli.ingest.limits import Limits
from sharedcli.ingest.reader import DocumentReader
from sharedcli.retrieve.passages import cut_passages

LIMITS = Limits(seconds=20.0, page_seconds=5.0)
_DIED = "makes its reader"
_UNFORESEEN = "cannot be read ("


def fuzz_readers(place: Path, rng: random.Random, run: Run) -> None:
    """Read damaged documents; inside of archives the members are damaged too.

    Besides crashes it counts what the worker process contained: exceptions that no reader foresaw,
    and deaths of the worker. For the user both are a failed file with a reason.
    """
    # The clock on the wall says nothing on a busy machine; the processor's limit stays.
    process.WorkerProcess._patience = lambda _self, _left: 3600.0  # type: ignore[method-assign]
    documents, archives = whole.documents(), whole.archive_parts()
    suffixes = sorted((*documents, *archives, ".pdf", ".html"))
    while not run.over():
        # the processor time of a worker counts when it has ended
        with DocumentReader(LIMITS) as reader:
            for _ in range(25):
                suffix = rng.choice(suffixes)
                if suffix in archives:
                    data = _archive(rng, archives[suffix])
                else:
                    data = _flat(rng, documents, suffix)
                _read(reader, place / f"damaged{suffix}", data, run)


def _read(reader: DocumentReader, file: Path, data: bytes, run: Run) -> None:
    file.write_bytes(data)
    try:
        document = reader.read(file)
        for passage in cut_passages(document):
            assert document.page_at(passage.start).number == passage.page
        run.count("read")
    except DocumentError as error:
        unforeseen = isinstance(error, UnreadableError) and _UNFORESEEN in str(error)
        if _DIED in str(error) or unforeseen:
            run.keep(error, data, file.suffix, "workers died" if not unforeseen else "contained")
        else:
            run.count("refused")
    except Exception as error:
        run.keep(error, data, file.suffix)


def _flat(rng: random.Random, documents: dict[str, list[bytes]], suffix: str) -> bytes:
    """A damaged file of this kind, now and then with the end of one of another kind."""
    data = rng.choice(documents[suffix])
    if rng.random() < 0.1:
        data = crossed(rng, data, rng.choice(documents[rng.choice(sorted(documents))]))
    return mutated(rng, data, whole.WORDS[suffix])


def _archive(rng: random.Random, members: dict[str, bytes]) -> bytes:
    """An archive with damaged members, or damaged itself as well."""
    parts = dict(members)
    for name in rng.sample(sorted(parts), rng.choice((0, 1, 1, 2))):
        parts[name] = mutated(rng, parts[name], whole.WORDS[".xml"])
    if rng.random() < 0.05:
        del parts[rng.choice(sorted(parts))]
    data = whole.zipped(parts)
    return data if rng.random() < 0.6 else mutated(rng, data)
