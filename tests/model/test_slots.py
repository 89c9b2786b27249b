"""Tokens become slots: against a loop over windows."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from shared_samples import greatest
from torch import Tensor

from sharedcli.model.slots import choose_slots, derive_slots, kept_offsets
from sharedcli.tree.context_tree import ContextTree
from sharedcli.tree.geometry import SlotChoice, TreeGeometry
from sharedcli.tree.windows import inner_groups, leaf_windows, node_windows, split_evenly

CHOICES = ("first", "last", "mean", "pooled")
SHAPE = (2, 3, 2)  # layers, batch, heads


def states(tokens: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(tokens)
    keys, values = torch.randn(2, *SHAPE, tokens, 4, generator=generator, dtype=torch.float64)
    return keys, values, torch.randn(2, 2, 4, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("choice", CHOICES)
@given(st.integers(1, 40), st.data())
def test_each_slot_stands_for_its_window(
    choice: SlotChoice, tokens: int, data: st.DataObject
) -> None:
    windows = split_evenly(tokens, data.draw(st.integers(1, tokens)))
    keys, values, query = states(tokens)
    slot_keys, slot_values, local = choose_slots(keys, values, windows, choice, query)
    assert slot_keys.shape == slot_values.shape == (*SHAPE, len(windows), 4)
    for slot, (start, end) in enumerate(windows):
        if choice in ("first", "last"):
            kept = start if choice == "first" else end - 1
            assert torch.equal(slot_keys[..., slot, :], keys[..., kept, :])
            assert torch.equal(slot_values[..., slot, :], values[..., kept, :])
        else:
            scores = (keys[..., start:end, :] * query[:, None, :, None]).sum(-1) / 2
            weights = torch.softmax(scores if choice == "pooled" else 0 * scores, -1)[..., None]
            for found, source in ((slot_keys, keys), (slot_values, values)):
                expected = (weights * source[..., start:end, :]).sum(-2)
                assert greatest(found[..., slot, :], expected) < 1e-6
    assert local.tolist() == [a if choice == "first" else b - 1 for a, b in windows]


@pytest.mark.parametrize("choice", CHOICES)
def test_at_ratio_one_slots_are_the_tokens(choice: SlotChoice) -> None:
    keys, values, query = states(7)
    slot_keys, slot_values, local = choose_slots(keys, values, split_evenly(7, 7), choice, query)
    assert torch.equal(slot_keys, keys)
    assert torch.equal(slot_values, values)
    assert local.tolist() == list(range(7))


def test_pooling_starts_as_the_mean() -> None:
    keys, values, query = states(9)
    windows = split_evenly(9, 4)
    mean = choose_slots(keys, values, windows, "mean")
    pooled = choose_slots(keys, values, windows, "pooled", torch.zeros_like(query))
    assert torch.equal(mean[0], pooled[0])
    assert torch.equal(mean[1], pooled[1])


def test_pooling_is_learnt_through() -> None:
    keys, values, query = states(9)
    query.requires_grad_()
    choose_slots(keys, values, split_evenly(9, 4), "pooled", query)[1].square().sum().backward()
    assert query.grad is not None
    assert query.grad.abs().min() > 0


@pytest.mark.parametrize("choice", ["first", "last"])
@given(st.integers(4, 48))
def test_nested_coarse_slots_are_a_subset_of_the_leaves(choice: SlotChoice, tokens: int) -> None:
    tree = ContextTree(tokens, TreeGeometry(32, 3, 4, "nested", choice))
    keys, values, _ = states(tokens)
    for chunk in range(tree.chunks):
        for node in tree.nodes(chunk):
            fine = choose_slots(keys, values, leaf_windows(tree, node), choice)
            coarse = derive_slots(fine[0], fine[1], inner_groups(tree, node), choice)
            straight = choose_slots(keys, values, node_windows(tree, node), choice)
            assert torch.equal(coarse[0], straight[0])
            assert torch.equal(coarse[1], straight[1])
            assert torch.equal(kept_offsets(tree, node), straight[2])


def test_nested_coarse_means_are_means_of_the_leaves() -> None:
    tree = ContextTree(32, TreeGeometry(32, 2, 4, "nested", "mean"))
    keys, values, _ = states(32)
    for node in tree.nodes(0):
        fine = choose_slots(keys, values, leaf_windows(tree, node), "mean")
        coarse = derive_slots(fine[0], fine[1], inner_groups(tree, node), "mean")
        straight = choose_slots(keys, values, node_windows(tree, node), "mean")
        assert greatest(coarse[0], straight[0]) < 1e-12  # windows of a full chunk are equal
        assert greatest(coarse[1], straight[1]) < 1e-12
