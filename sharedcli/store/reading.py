"""Reading tensors of one chunk, or one kind of tensor of all chunks.

The catalogue is left before the blob is opened, so a document may be replaced in between; its blobs
stay for a while, and where one is gone all the same, the reader is told to ask again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from sharedcli.errors import CorruptionError, NoStoreError
from sharedcli.store import durable, rows
from sharedcli.store.blobs import BlobFiles
from sharedcli.store.catalogue import Catalogue
from sharedcli.store.segments import directory_from_json, read_tensors
from sharedcli.store.writer import SUMMARIES


def chunk_tensors(
    catalogue: Catalogue,
    doc_id: str,
    index: int,
    names: Iterable[str] | None,
    dtype: torch.dtype | None,
) -> dict[str, Tensor]:
    """See ``Store.read_chunk``."""
    with catalogue.reading() as connection:
        entry = rows.entry(connection, doc_id)
        row = rows.chunk(connection, entry, index)
        sizes = dict(rows.segments(connection, entry))
    directory = directory_from_json(row.tensors)
    if names is not None:
        directory = {name: directory[name] for name in names}
    with reading_blobs(catalogue, entry) as blobs:
        blob = blob_of(sizes, row)
        return read_tensors(blobs, blob, doc_id, index, directory, dtype=dtype)


def summaries(catalogue: Catalogue, doc_id: str) -> list[Tensor]:
    """See ``Store.read_summaries``."""
    with catalogue.reading() as connection:
        entry = rows.entry(connection, doc_id)
        chunks = list(rows.chunks(connection, entry))
        sizes = dict(rows.segments(connection, entry))
    result = []
    with reading_blobs(catalogue, entry) as blobs:
        for row in chunks:
            directory = directory_from_json(row.tensors)
            wanted = {SUMMARIES: directory[SUMMARIES]}
            blob = blob_of(sizes, row)
            found = read_tensors(blobs, blob, doc_id, row.span.index, wanted)
            result.append(found[SUMMARIES])
    return result


def blob_of(sizes: Mapping[str, int], row: rows.ChunkRow) -> tuple[str, int]:
    """Return a chunk's blob and its size, which the document's segments must name."""
    if not isinstance(sizes.get(row.blob), int):
        raise CorruptionError(f"the blob of chunk {row.span.index} is not among its segments")
    return row.blob, sizes[row.blob]


@contextmanager
def reading_blobs(catalogue: Catalogue, entry: rows.Entry) -> Iterator[BlobFiles]:
    """Give the blobs; name the document, and what repairs it, in what goes wrong."""
    store = catalogue.path.parent
    try:
        yield BlobFiles(store)
    except FileNotFoundError as error:
        with catalogue.reading() as connection:
            current = rows.entries_where(connection, "key = ?", entry.key)
        if not current:
            raise NoStoreError(
                f"{entry.source} was replaced or removed while it was read; run the same command "
                "again"
            ) from error
        name = Path(error.filename).name[:12]
        raise rows.damaged(entry.source, f"blob {name} is missing") from error
    except CorruptionError as error:
        raise rows.damaged(entry.source, str(error)) from error
    except OSError as error:
        raise durable.read_error(error, store) from error
