"""Tokens and their characters: packing and spans."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharedcli.store.records import ChunkSpan
from sharedcli.store.spans import ChunkTokens


@st.composite
def chunks(draw: st.DrawFn) -> ChunkTokens:
    count = draw(st.integers(1, 50))
    ids = draw(st.lists(st.integers(0, 2**31 - 1), min_size=count, max_size=count))
    ends = st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1)).map(sorted)
    spans = draw(st.lists(ends, min_size=count, max_size=count))
    start = draw(st.integers(0, 10**6))
    return ChunkTokens(start, np.array(ids, dtype=np.int32), np.array(spans, dtype=np.int32))


@given(chunks())
def test_packing_is_exact(chunk: ChunkTokens) -> None:
    again = ChunkTokens.unpack(chunk.token_start, chunk.pack())
    assert (again.token_ids == chunk.token_ids).all()
    assert (again.char_spans == chunk.char_spans).all()
    assert again.token_start == chunk.token_start


@given(chunks(), st.data())
def test_a_span_covers_its_tokens_and_no_more(chunk: ChunkTokens, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(chunk.token_ids) - 1))
    last = data.draw(st.integers(first + 1, len(chunk.token_ids)))
    start, end = chunk.char_span(chunk.token_start + first, chunk.token_start + last)
    part = chunk.char_spans[first:last].tolist()
    assert start == min(a for a, _ in part)
    assert end == max(b for _, b in part)


@given(chunks(), st.data())
def test_spans_of_neighbours_are_those_of_each(chunk: ChunkTokens, data: st.DataObject) -> None:
    places = st.integers(chunk.token_start, chunk.token_end - 1)
    starts = sorted(data.draw(st.sets(places, min_size=1)))
    ends = [*starts[1:], chunk.token_end]
    assert chunk.char_spans_from(starts) == [
        chunk.char_span(start, end) for start, end in zip(starts, ends, strict=True)
    ]


@pytest.mark.parametrize("starts", [[], [9], [12], [11, 10], [10, 10]])
def test_neighbours_outside_or_out_of_order_are_refused(starts: list[int]) -> None:
    chunk = ChunkTokens(10, np.array([1, 2]), np.array([[3, 5], [5, 9]]))
    with pytest.raises(IndexError):
        chunk.char_spans_from(starts)


def test_a_chunk_knows_its_own_spans() -> None:
    chunk = ChunkTokens(10, np.array([1, 2]), np.array([[3, 5], [5, 9]]))
    assert chunk.span(2) == ChunkSpan(2, 10, 12, 3, 9)
    for start, end in [(9, 11), (10, 13), (11, 11)]:
        with pytest.raises(IndexError):
            chunk.char_span(start, end)


@pytest.mark.parametrize(
    ("start", "ids", "spans"),
    [
        (0, [1, 2], [[0, 1]]),
        (0, [], np.zeros((0, 2))),
        (0, [1], [[2, 1]]),
        (0, [1], [[-1, 1]]),
        (-1, [1], [[0, 1]]),
    ],
)
def test_parts_that_do_not_fit_are_refused(start: int, ids: object, spans: object) -> None:
    with pytest.raises(ValueError, match=r"fit|ordered"):
        ChunkTokens(start, np.array(ids), np.array(spans))


def test_ordinary_text_takes_few_bytes_per_token() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 8, 1024)
    ends = np.cumsum(lengths)
    ids = rng.zipf(1.3, 1024) % 49152
    packed = ChunkTokens(0, ids, np.stack([ends - lengths, ends], axis=1)).pack()
    assert len(packed) < 4 * 1024
