"""Slots with their positions: joining, batching, counting."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from sharedcli.model.compressed import CompressedKV, KeyPositionMode


def context(chunks: int, slots: int = 2, seed: int = 0) -> CompressedKV:
    count = chunks * slots
    keys, values = torch.randn(
        2, 3, 1, 2, count, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    chunk = torch.arange(chunks).repeat_interleave(slots)[None]
    local = torch.tensor([[0, 4][:slots] * chunks])
    return CompressedKV(
        keys,
        values,
        chunk,
        local,
        8 * chunk + local,
        torch.tensor([chunks]),
        torch.tensor([8 * chunks]),
    )


def test_positions_of_keys_and_of_what_follows() -> None:
    slots = context(3)
    expected = {
        "chunk_only": ([0, 0, 1, 1, 2, 2], 3),
        "local_only": ([0, 4, 0, 4, 0, 4], 5),
        "local_plus_chunk": ([0, 4, 1, 5, 2, 6], 7),
        "document": ([0, 4, 8, 12, 16, 20], 24),
        "slot_order": ([0, 1, 2, 3, 4, 5], 6),
    }
    for mode, (keys, end) in expected.items():
        found, following = slots.positions(mode)  # type: ignore[arg-type]
        assert found.tolist() == [keys]
        assert following.tolist() == [end]


def test_joined_contexts_are_numbered_on() -> None:
    joined = CompressedKV.cat([context(2), context(1), context(3)])
    whole = context(6)
    for name in ("chunk", "local", "place", "chunks", "tokens"):
        assert torch.equal(getattr(joined, name), getattr(whole, name)), name
    assert joined.keys.shape == whole.keys.shape
    assert torch.equal(joined.keys[..., 4:6, :], context(1).keys)


def test_a_batch_pads_shorter_contexts_on_the_right() -> None:
    long, short, none = context(3), context(1, seed=1), context(0)
    batch = CompressedKV.batch([long, short, none])
    assert batch.valid is not None
    assert batch.valid.tolist() == [[True] * 6, [True] * 2 + [False] * 4, [False] * 6]
    assert batch.chunks.tolist() == [3, 1, 0]
    assert torch.equal(batch.keys[:, 0], long.keys[:, 0])
    assert torch.equal(batch.values[:, 1, :, :2], short.values[:, 0])
    assert not batch.keys[:, 1, :, 2:].any()
    for mode in get_args(KeyPositionMode):
        ends = batch.positions(mode)[1]
        for row, single in enumerate((long, short, none)):
            assert ends[row] == single.positions(mode)[1][0], mode


def test_equal_contexts_need_no_padding() -> None:
    assert CompressedKV.batch([context(2), context(2, seed=1)]).valid is None


def test_a_padded_batch_cannot_be_joined() -> None:
    with pytest.raises(ValueError, match="join contexts before padding"):
        CompressedKV.cat([CompressedKV.batch([context(2), context(1)])])


def test_an_empty_context() -> None:
    empty = CompressedKV.empty(3, 2, 4, torch.device("cpu"), torch.float64)
    assert (empty.layers, empty.slots) == (3, 0)
    for mode in get_args(KeyPositionMode):
        assert empty.positions(mode)[1].tolist() == [0]
    batch = CompressedKV.batch([context(1), empty])
    assert batch.valid is not None
    assert batch.valid.tolist() == [[True, True], [False, False]]


def test_to_changes_the_type_of_numbers_and_leaves_positions() -> None:
    batch = CompressedKV.batch([context(2), context(1)])
    moved = batch.to("cpu", torch.bfloat16)
    assert moved.keys.dtype == moved.values.dtype == torch.bfloat16
    assert torch.equal(moved.place, batch.place)
    assert moved.valid is not None
    assert batch.valid is not None
    assert torch.equal(moved.valid, batch.valid)


def test_slots_in_order_share_the_room_that_there_is() -> None:
    slots = context(4)
    assert slots.positions("slot_order", 8)[0].tolist() == [[0, 1, 2, 3, 4, 5, 6, 7]]
    places, end = slots.positions("slot_order", 6)
    assert places[0].tolist() == [0.75 * slot for slot in range(8)]
    assert end.tolist() == [6]
