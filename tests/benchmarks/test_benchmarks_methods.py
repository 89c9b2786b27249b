"""Methods read the same tokens with the same base, and count what they do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from sharedcli.baselines.encoder_decoder import SIZES, encoder_size
from sharedcli.baselines.streams import SinkStream
from sharedcli.benchmarks.jobs.index import index
from sharedcli.benchmarks.methods.contract import Bench
from sharedcli.benchmarks.methods.registry import BUDGETED, NAMES, make_method, parse_methods
from sharedcli.benchmarks.opening import open_bench
from sharedcli.benchmarks.plan import Plan
from sharedcli.benchmarks.sample import Sample, make_sample, source_text
from sharedcli.benchmarks.timing import run_once
from sharedcli.benchmarks.work import Read, total
from sharedcli.errors import UsageError
from sharedcli.model.decoder import Decoder

LENGTH = 300


@pytest.fixture
def sample(bench: Bench) -> Sample:
    return make_sample(bench.model.base.tokenizer, source_text(None), LENGTH)


def _answer(bench: Bench, name: str, sample: Sample, count: int = 5) -> list[int]:
    return list(make_method(name, bench).read(sample)(sample.prompt, count))


def test_a_sample_has_exactly_so_many_tokens(bench: Bench) -> None:
    for length in (1, 50, 20_000):
        found = make_sample(bench.model.base.tokenizer, source_text(None), length)
        assert len(found.tokens) == length
        short = found.first(length // 2 + 1)
        assert len(short.tokens) == length // 2 + 1
        assert found.text.startswith(short.text)
    with pytest.raises(UsageError, match="no text in the benchmark's document"):
        make_sample(bench.model.base.tokenizer, "  \n", 5)


def test_full_is_the_plain_base(bench: Bench, sample: Sample) -> None:
    tokens = torch.cat((sample.tokens, sample.prompt))
    expected = []
    with torch.inference_mode():
        for _ in range(5):
            logits = bench.model.base.model(input_ids=tokens[None]).logits[0, -1]
            expected.append(int(logits.argmax()))
            tokens = torch.cat((tokens, torch.tensor(expected[-1:])))
    assert _answer(bench, "full", sample) == expected
    assert _answer(replace(bench, forward_only=True), "full", sample) == expected
    wide = replace(bench, stream_window=4096)
    assert _answer(wide, "streaming", sample) == expected  # nothing leaves the window


def test_an_untrained_structure_says_what_the_base_says_without_the_text(
    bench: Bench, sample: Sample
) -> None:
    alone = list(Decoder(bench.plain).generate(sample.prompt, frozenset(), 5))
    assert _answer(bench, "encoder-decoder", sample) == alone
    assert _answer(bench, "sharedllm", sample) == alone  # its gates are shut


def test_slots_are_the_same_from_a_store(make_plan: Callable[..., Plan], sample: Sample) -> None:
    plan = make_plan()
    plan = replace(plan, settings=replace(plan.settings, slot_format="float32"))
    index(plan, lambda *_now: None, context=LENGTH)
    bench = open_bench(replace(plan, stores={LENGTH: plan.settings.store}))
    fresh, stored = make_method("sharedllm", bench), make_method("sharedllm-indexed", bench)
    for method in (fresh, stored):
        method.read(sample)
    few, unseen = (make_method(f"{name}@16", bench) for name in BUDGETED[::-1])
    read, made = few._found(sample), unseen._found(sample)  # type: ignore[attr-defined]
    torch.testing.assert_close(made.keys, read.keys)
    torch.testing.assert_close(made.values, read.values)
    assert torch.equal(made.place, read.place)
    for method in (few, unseen):
        method.read(sample)
    # two full chunks with three nodes of eight slots, and a short one
    assert fresh.slots == stored.slots == fresh._slots(LENGTH)  # type: ignore[attr-defined]
    assert 0 < few.slots == unseen.slots <= 16


def test_what_was_not_stored_is_not_read(bench: Bench) -> None:
    nothing = replace(bench, settings=replace(bench.settings, slot_format="recompute"))
    assert "use sharedllm-indexed@256" in make_method("sharedllm-indexed", nothing).refuses(300, 9)
    assert make_method("sharedllm-indexed@256", nothing).refuses(300, 9) == ""


def test_windows_refuse(bench: Bench) -> None:
    full = make_method("full", bench)
    assert full.refuses(4000, 90) == ""
    assert full.refuses(4000, 97) == "4,097 tokens exceed the model's window of 4,096"
    for name in ("streaming", "encoder-decoder", "sharedllm"):
        assert make_method(name, bench).refuses(1 << 20, 97) == ""


def test_work_of_streaming_follows_its_window(bench: Bench) -> None:
    read = Read(bench.counts, bench.value)
    context, prompt, answer = make_method("streaming", bench).work(160, 10, 3)
    # blocks of 32 in a window of 128: 0, 32, 64, 96 tokens before, then 96 again
    assert context == total(read.forward(32, seen) for seen in (0, 32, 64, 96, 96))
    assert prompt == read.forward(10, 118)
    assert answer == total([read.forward(1, 127), read.forward(1, 127)])
    stream = SinkStream(bench.plain, 128, block=32)
    stream.read(torch.arange(160) % 200)
    assert stream.cached == 128


def test_work_of_the_others(bench: Bench) -> None:
    counts, value = bench.counts, bench.value
    context, prompt, answer = make_method("full", bench).work(100, 10, 3)
    read = Read(counts, value)
    assert context == read.forward(100, 0)
    assert (prompt, answer) == (read.forward(10, 100), read.decode(3, 110))
    method = make_method("sharedllm", bench)
    context, prompt, _ = method.work(256, 10, 3)
    slots = 2 * 3 * 8
    more = counts.decoder_update + counts.cross
    assert prompt == Read(counts, value, slots=slots, more=more).forward(10, 0)
    # nodes: searched 4 sequences a chunk (64, 64, 32, 32), read 3 (64, 32, 32)
    layer = counts.layer
    searched = 2 * 2 * 192 * layer + 4 * counts.hidden * 2 * (2 * 2080 + 2 * 528)
    read_them = 2 * 2 * 128 * layer + 4 * counts.hidden * 2 * (2080 + 2 * 528)
    assert counts.injected == 1
    assert context.flops == searched + read_them
    indexed, _, _ = make_method("sharedllm-indexed", bench).work(256, 10, 3)
    assert (indexed.flops, indexed.bytes) == (0, 2 * slots * counts.cached * value)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "sharedllm-indexed"])
def test_estimates_grow_with_what_is_kept(bench: Bench, name: str) -> None:
    method = make_method(name, bench)
    short, long = method.memory(1 << 12, 64), method.memory(1 << 16, 64)
    assert short > 0
    if name == "streaming":
        assert long == short
    else:
        assert long > short


def test_a_run_has_three_stages(bench: Bench, sample: Sample) -> None:
    found = run_once(make_method("streaming", bench), "streaming", sample, 3)
    assert min(found.context, found.prompt, found.answer) > 0
    assert found.cpu >= 0


def test_names_are_read_and_refused() -> None:
    assert parse_methods("full, streaming,full") == ["full", "streaming"]
    assert parse_methods("all") == list(NAMES)
    assert parse_methods("all", ("index",)) == ["index", *NAMES]
    for name in ("sharedllm-indexed@256", "sharedllm@64"):
        assert parse_methods(name) == [name]
    for wrong, reason in {
        "magic": "there is no method 'magic'",
        "index": "there is no method 'index'",
        "full@3": "'full@3' is no method with a budget",
        "sharedllm-indexed@": "is no method with a budget",
        "sharedllm-indexed@0": "is no method with a budget",
        " , ": "no method is named",
    }.items():
        with pytest.raises(UsageError, match=reason):
            parse_methods(wrong)


def test_the_encoder_has_about_a_sixteenth_of_the_base() -> None:
    assert encoder_size(135_000_000) == SIZES[0]
    assert encoder_size(1_236_000_000).width == 768
    assert encoder_size(8_030_000_000) == SIZES[-1]
