"""What is written is read back: text, passages, tensors, bit for bit."""

import numpy as np
import pytest
import store_samples as samples
import torch

from sharedcli.store.quantize import decode, encode
from sharedcli.store.store import Store


def test_what_is_written_is_read_back_exactly(store: Store) -> None:
    doc = samples.document(1)
    record = samples.put(store, 1)
    assert store.documents() == [record] == [store.document(record.id)]
    assert store.load_document(record.id) == doc
    assert store.identity(record.id) == samples.identity()
    ((doc_id, found, stored_vectors),) = store.read_passages([record.id])
    assert (doc_id, list(found)) == (record.id, samples.passages(doc))
    assert found[1:] == samples.passages(doc)[1:]
    assert found[-1] == samples.passages(doc)[-1]
    with pytest.raises(IndexError):
        found[len(found)]
    assert (stored_vectors == samples.vectors(doc, 1).astype(np.float16)).all()
    assert record.tokens == sum(len(part.token_ids) for part in samples.tokens(doc))
    assert (record.pages, record.file_size, record.mtime_ns) == (2, len(doc.text), 1)
    assert record.warnings == doc.warnings
    for index, part in enumerate(samples.tokens(doc)):
        read = store.chunk_tokens(record.id, index)
        assert read.token_start == part.token_start
        assert (read.token_ids == part.token_ids).all()
        assert (read.char_spans == part.char_spans).all()
        assert store.chunks(record.id)[index] == part.span(index)
        assert torch.equal(
            store.read_summaries(record.id)[index], samples.summaries(1, index).half()
        )


@pytest.mark.parametrize("slot_format", ["bfloat16", "float16", "float32", "int8", "int4"])
def test_tensors_are_read_back_bit_for_bit(store: Store, slot_format: str) -> None:
    record = samples.put(store, 2, maker=samples.identity(slot_format=slot_format))
    for index in range(record.chunks):
        read = store.read_chunk(record.id, index)
        assert read.keys() == {*samples.tensors(2, index), "summaries"}
        for name, tensor in samples.tensors(2, index).items():
            expected = decode(encode(tensor, slot_format))
            assert read[name].dtype == expected.dtype
            assert torch.equal(read[name], expected)
            if slot_format == "float32":
                assert torch.equal(read[name], tensor)


def test_only_the_asked_tensors_are_read(store: Store) -> None:
    record = samples.put(store, 2)
    read = store.read_chunk(record.id, 1, ["level2.keys"], dtype=torch.float64)
    assert list(read) == ["level2.keys"]
    assert read["level2.keys"].dtype == torch.float64
    with pytest.raises(KeyError):
        store.read_chunk(record.id, 1, ["level9.keys"])
    with pytest.raises(IndexError):
        store.read_chunk(record.id, record.chunks)
