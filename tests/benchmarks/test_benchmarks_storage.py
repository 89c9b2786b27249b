"""What a format loses, from given logits; and windows cut out of a text."""

from __future__ import annotations

import math

import pytest
import torch

from sharedcli.benchmarks.jobs.profile import split
from sharedcli.benchmarks.jobs.storage import compare, cut_windows
from sharedcli.benchmarks.methods.contract import Bench
from sharedcli.benchmarks.result import slope, slope_per_100k
from sharedcli.benchmarks.sample import source_text
from sharedcli.model.tokens import tokenize_text


def test_loss_and_divergence_by_hand() -> None:
    even = torch.zeros(1, 2)
    sure = torch.tensor([[math.log(3.0), 0.0]])  # 3/4 and 1/4
    running = [torch.tensor([0, 0])]
    found = compare([sure], [even], running)
    assert found["loss"] == pytest.approx(math.log(4 / 3))
    assert found["loss_increase"] == pytest.approx(math.log(4 / 3) - math.log(2))
    # KL(reference || found) = 1/2 ln(2/3) + 1/2 ln 2
    assert found["kl"] == pytest.approx(0.5 * math.log(2 / 3) + 0.5 * math.log(2))
    assert compare([even], [even], running)["kl"] == pytest.approx(0.0)


def test_windows_are_spread_over_the_text(bench: Bench) -> None:
    text = source_text(None)
    ids, _ = tokenize_text(bench.model.base.tokenizer, text)
    found = cut_windows(bench.model, text, 200, 40, 3)
    assert len(found) == 3
    assert text.startswith(found[0].text)
    assert found[-1].running.tolist() == ids[-40:].tolist()
    assert cut_windows(bench.model, text, len(ids), 40, 3) == []


def test_a_slope_is_that_of_the_best_line() -> None:
    assert slope([(0, 5), (10, 25), (20, 45)]) == pytest.approx(2.0)
    assert slope([(10, 5), (10, 7)]) is None
    assert slope_per_100k([(0, 0), (100_000, 3_000_000)]) == pytest.approx(3.0)


def test_time_is_split_by_kind_of_operation() -> None:
    operations = [
        (1, "aten::mm", 3.0),
        (1, "aten::addmm", 1.0),
        (1, "aten::_scaled_dot_product_flash_attention_for_cpu", 2.0),
        (2, "aten::copy_", 0.4),  # too little for a worker
        (1, "aten::copy_", 0.6),
    ]
    alone = split(10.0, operations)
    assert alone["workers"] == 1
    assert alone["shares"] == pytest.approx(
        {"matrix": 0.4, "attention": 0.2, "other operations": 0.1, "other": 0.3}
    )
    beside = split(10.0, [*operations, (3, "aten::mm", 8.0)])
    assert (beside["workers"], beside["shares"]["matrix"]) == (2, pytest.approx(0.6))
