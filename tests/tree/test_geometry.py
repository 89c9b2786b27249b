"""Sizes of trees: the reference geometry, ratios, refusals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tree_strategies import geometries

from sharedcli.errors import UsageError
from sharedcli.tree.geometry import TreeGeometry


def test_the_reference_geometry_is_the_papers() -> None:
    reference = TreeGeometry()
    assert [reference.node_tokens(level) for level in (1, 2, 3)] == [512, 256, 128]
    assert [reference.ratio(level) for level in (1, 2, 3)] == [16, 8, 4]
    assert (reference.path_slots, reference.overall_ratio) == (128, 8)


def test_the_ratio_stays_when_the_chunk_size_changes() -> None:
    half = TreeGeometry.for_ratio(8, chunk_tokens=512)
    assert (half.slots_per_node, half.overall_ratio) == (16, 8)


@given(st.sampled_from((2, 4, 8, 16)), st.integers(1, 3), st.sampled_from((256, 512, 1024)))
def test_for_ratio_meets_ratios_that_divide(ratio: int, depth: int, chunk_tokens: int) -> None:
    if chunk_tokens % (ratio * (depth + 1)) == 0:
        assert TreeGeometry.for_ratio(ratio, chunk_tokens, depth).overall_ratio == ratio


@given(geometries())
def test_plain_values_and_back(geometry: TreeGeometry) -> None:
    assert TreeGeometry(**geometry.to_dict()) == geometry  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ((1024, 0, 32), "depth must be at least 1, not 0"),
        ((1024, 3, 0), "slots per node must be at least 1, not 0"),
        ((255, 3, 32), "use at least 256 tokens per chunk"),
    ],
)
def test_impossible_sizes_are_refused(sizes: tuple[int, int, int], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        TreeGeometry(*sizes)


def test_a_geometry_without_what_came_later_is_written_as_before() -> None:
    later = {"lead_tokens": 256, "stored_depth": 2, "strip_chunks": 4}
    later |= {"exit_layer": 3, "pruning_layer": 5}
    plain = TreeGeometry(levels="nested")
    assert set(plain.to_dict()).isdisjoint(later)
    assert TreeGeometry(levels="nested", **later).to_dict() == plain.to_dict() | later  # type: ignore[arg-type]


def test_a_lead_and_a_stored_depth_that_cannot_be_are_refused() -> None:
    with pytest.raises(UsageError, match="lead tokens must be 0 or more, not -1"):
        TreeGeometry(lead_tokens=-1)
    with pytest.raises(UsageError, match="stored down to 4, but the tree has levels 1 to 3"):
        TreeGeometry(stored_depth=4)


def test_strips_need_a_lead_that_is_there() -> None:
    with pytest.raises(UsageError, match="1 chunk or more, not 0"):
        TreeGeometry(strip_chunks=0)
    for levels, lead in (("nested", 0), ("per_node", 8)):
        with pytest.raises(UsageError, match="strips of 2 chunks need nested levels and a lead"):
            TreeGeometry(levels=levels, lead_tokens=lead, strip_chunks=2)  # type: ignore[arg-type]
    assert TreeGeometry(512, 3, 32, "nested", lead_tokens=8, strip_chunks=2).strip_tokens == 1032


def test_a_strip_sees_half_a_lead_where_what_is_stored_is_coarse() -> None:
    def lead(**changes: int) -> int:
        sizes = {"lead_tokens": 255, "strip_chunks": 8, "stored_depth": 1} | changes
        return TreeGeometry(512, 5, 16, "nested", "last", **sizes).strip_lead

    assert lead() == 128  # 16 tokens per slot
    assert lead(stored_depth=2) == 128  # 10 and two thirds
    assert lead(stored_depth=3) == 128  # 8
    assert lead(stored_depth=4) == lead(stored_depth=0) == 255
    assert lead(strip_chunks=1) == 255  # each chunk behind its lead
    assert lead(lead_tokens=1) == 1


@pytest.mark.parametrize("name", ["exit_layer", "pruning_layer"])
def test_tokens_are_left_out_of_layers_only_for_coarse_slots_that_are_tokens(name: str) -> None:
    def leaves_out(stored_depth: int, levels: str = "nested", choice: str = "last") -> bool:
        sizes = {"stored_depth": stored_depth, name: 22}
        return TreeGeometry(512, 5, 16, levels, choice, **sizes).leaves_out  # type: ignore[arg-type]

    assert leaves_out(1)
    assert leaves_out(3)
    assert leaves_out(1, choice="first")
    assert not leaves_out(4)
    assert not leaves_out(0)
    for levels, choice in (("per_node", "last"), ("nested", "mean"), ("nested", "pooled")):
        with pytest.raises(UsageError, match="needs nested levels and slots that are tokens"):
            leaves_out(1, levels, choice)
    with pytest.raises(UsageError, match="0 or more, not -1"):
        TreeGeometry(levels="nested", **{name: -1})  # type: ignore[arg-type]


def test_no_token_is_computed_further_than_it_is_seen() -> None:
    with pytest.raises(UsageError, match="that 5 layers see need not pass through 6"):
        TreeGeometry(levels="nested", exit_layer=6, pruning_layer=5)
    assert TreeGeometry(levels="nested", exit_layer=6).exit_layer == 6


def test_all_levels_are_stored_unless_said() -> None:
    assert TreeGeometry(depth=3).deepest_stored == 3
    assert TreeGeometry(depth=3, stored_depth=2).deepest_stored == 2
    assert TreeGeometry(depth=3, stored_depth=2).at_ratio(2).deepest_stored == 3


@pytest.mark.parametrize("chunk", [512, 1024, 2048])
@pytest.mark.parametrize("ratio", [1, 2, 4, 8, 16, 32])
def test_a_geometry_takes_on_another_ratio(chunk: int, ratio: int) -> None:
    plan = TreeGeometry(chunk, 3, 16, "nested", "last")
    found = plan.at_ratio(ratio)
    assert found.overall_ratio == ratio
    assert (found.chunk_tokens, found.levels, found.slot_choice) == (chunk, "nested", "last")
    assert found.depth == (3 if ratio >= 2 else 1)


def test_a_ratio_is_met_as_nearly_as_it_can_be() -> None:
    deep = TreeGeometry(512, 5, 16, "nested", "last", lead_tokens=256, stored_depth=1)
    for ratio in (1, 2, 4, 8, 16, 32):
        found = deep.at_ratio(ratio)
        assert (found.overall_ratio, found.lead_tokens) == (ratio, 256)
    assert abs(deep.at_ratio(7).overall_ratio - 7) < 0.15


def test_an_unreachable_ratio_is_refused() -> None:
    with pytest.raises(UsageError, match="a ratio of 2000 is out of reach"):
        TreeGeometry(512, 3, 16).at_ratio(2000)
