"""``methods.variants``: what may stand behind a method's name, and what it changes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from sharedcli.baselines.streams import continuation_loss
from sharedcli.errors import UsageError
from sharedcli.evaluation.methods.contract import Context, UnfitError, Workbench
from sharedcli.evaluation.methods.registry import make_methods, parse_methods
from sharedcli.evaluation.methods.variants import parse_variant

Bench = Callable[..., Workbench]
RUNNING = torch.arange(20, 52)
ALL = ("budget", "ratio", "near", "layers", "shuffled", "other", "oracle")


def _loss(name: str, bench: Workbench, context: Context) -> float:
    opened = make_methods([name], bench)[name].continue_text(context, RUNNING)
    return continuation_loss(opened.stream, opened.prompt, RUNNING)


def _open_gates(bench: Workbench) -> None:
    for cross in bench.model.shared.adapter.cross:
        torch.nn.init.constant_(cross.gate, 0.5)


def test_names_say_what_is_not_as_usual() -> None:
    found = parse_variant("sharedllm@r2.5@m10@shuffled", ALL)
    assert (found.ratio, found.layers, found.shuffled) == (2.5, 10, True)
    assert found.kinds == {"ratio", "layers", "shuffled"}
    assert parse_variant("sharedllm@256", ALL).budget == 256
    assert parse_variant("sharedllm", ALL).kinds == set()


@pytest.mark.parametrize(
    "name",
    [
        *("sharedllm@", "sharedllm@x", "sharedllm@r", "sharedllm@r0.5", "sharedllm@r8@256"),
        *("sharedllm@shuffled@other", "sharedllm@m0", "sharedllm@adapted", "none@r8", "full@256"),
        *("sharedllm@r8@r8", "streaming@other", "lingua@r2", "sharedllm@near", "sharedllm@9@near"),
    ],
)
def test_what_a_method_does_not_know_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=name):
        parse_methods(name)


def test_ratios_and_controls_multiply_names() -> None:
    names = parse_methods("none,beacon-like,sharedllm,sharedllm@64", [2, 8], controls=True)
    assert names == [
        *("none", "beacon-like@r2", "beacon-like@r8"),
        *("sharedllm@r2", "sharedllm@r2@shuffled", "sharedllm@r2@other"),
        *("sharedllm@r8", "sharedllm@r8@shuffled", "sharedllm@r8@other"),
        *("sharedllm@64", "sharedllm@64@shuffled", "sharedllm@64@other"),
    ]


@pytest.mark.parametrize("ratio", [1, 2, 4, 8, 16])
def test_slots_follow_the_ratio(make_bench: Bench, story: str, ratio: int) -> None:
    bench = make_bench(trained=True)
    whole = Context.of_text(story, bench)
    ids, spans = whole.encoded
    context = Context.of_tokens(story, ids[:1024], spans[:1024], bench, "story")
    name = f"sharedllm@r{ratio}"
    opened = make_methods([name], bench)[name].continue_text(context, RUNNING)
    assert opened.slots == pytest.approx(1024 / ratio, rel=0.15)
    assert opened.context_tokens == 1024


def test_near_keeps_the_whole_text_and_is_fine_where_the_running_text_begins(
    make_bench: Bench, story: str
) -> None:
    bench = make_bench(trained=True)
    context = Context.of_text(story, bench)
    coarsest = bench.model.geometry(bench.settings).ratio(1)
    name = f"sharedllm@r{coarsest / 2:g}@near"
    method = make_methods([name], bench)[name]
    opened = method.continue_text(context, RUNNING)
    assert opened.context_tokens == len(context.tokens)
    assert 0.8 < opened.slots * coarsest / 2 / len(context.tokens) <= 1
    with pytest.raises(UnfitError, match="running text"):
        method.ask(context, "What?", 8)
    with pytest.raises(UnfitError, match="too few: level 1 has"):
        _loss(f"sharedllm@r{2 * coarsest:g}@near", bench, context)


def test_a_question_that_fits_no_window_is_left_out_and_not_the_end(
    make_bench: Bench, story: str
) -> None:
    bench = make_bench(trained=True)
    method = make_methods(["sharedllm"], bench)["sharedllm"]
    with pytest.raises(UnfitError, match="the question needs"):
        method.ask(Context.of_text(story, bench), "why " * bench.window, 8)


def test_controls_differ_from_the_text_and_each_other(make_bench: Bench, story: str) -> None:
    bench = make_bench(trained=True)
    _open_gates(bench)
    context = Context.of_text(story, bench)
    with pytest.raises(UnfitError, match="no other document"):
        _loss("sharedllm@other", bench, context)
    other = Context.of_text(story.upper(), bench)
    context = Context.of_text(story, bench)
    context.find_other = lambda: other
    losses = [_loss(f"sharedllm{how}", bench, context) for how in ("", "@shuffled", "@other")]
    assert len({round(loss, 9) for loss in losses}) == 3
    assert losses[2] == pytest.approx(_loss("sharedllm", bench, other), abs=1e-12)
    one_chunk = Context.of_text(story[:100], bench)
    with pytest.raises(UnfitError, match="no other order"):
        _loss("sharedllm@shuffled", bench, one_chunk)


def test_fewer_layers_see_the_slots(make_bench: Bench, story: str) -> None:
    bench = make_bench(trained=True)
    _open_gates(bench)
    context = Context.of_text(story, bench)
    all_layers = _loss("sharedllm", bench, context)
    assert _loss("sharedllm@m2", bench, context) == all_layers
    assert _loss("sharedllm@m1", bench, context) != pytest.approx(all_layers, abs=1e-9)
    with pytest.raises(UsageError, match="injects into 2 layers at most"):
        make_methods(["sharedllm@m3"], bench)


def test_a_budget_opens_less_of_a_text(make_bench: Bench, story: str) -> None:
    bench = make_bench(trained=True)
    context = Context.of_text(story, bench)
    methods = make_methods(["sharedllm", "sharedllm@32"], bench)
    everything, some = (one.continue_text(context, RUNNING) for one in methods.values())
    assert 0 < some.slots <= 32 < everything.slots
    assert some.context_tokens < everything.context_tokens


def test_the_descent_can_be_told_where_the_needle_lies(make_bench: Bench, story: str) -> None:
    bench = make_bench(trained=True, budget=24)
    method = make_methods(["sharedllm@oracle"], bench)["sharedllm@oracle"]
    context = Context.of_text(story, bench)
    with pytest.raises(UnfitError, match="needle"):
        method.ask(context, "What?", 8)
    context.evidence = (300, 312)
    opened = method.ask(context, "What?", 8)
    assert (opened.detail["opened"], opened.detail["finest"]) == (1, 1)
    assert "told" in method.caveat
    unasked = make_methods(["sharedllm@r8"], bench)["sharedllm@r8"].ask(context, "What?", 8)
    assert unasked.detail["chunks"] == -(-len(context.tokens) // 128)


def test_adapted_is_the_decoder_with_nothing_injected(make_bench: Bench, story: str) -> None:
    bench = make_bench(trained=True, decoder_rank=2)
    context = Context.of_text(story[:400], bench)
    assert _loss("full@adapted", bench, context) == _loss("full", bench, context)  # no updates yet
    for update in bench.model.shared.adapter.decoder.parameters():
        torch.nn.init.normal_(update, std=0.2)
    assert _loss("none@adapted", bench, context) != _loss("none", bench, context)
    assert _loss("full@adapted", bench, context) != _loss("full", bench, context)
