"""Each method gives the base what its name says, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from sharedcli.baselines.encoder_decoder import CHUNK, ChunkEncoder
from sharedcli.baselines.streams import CachedStream, continuation_loss
from sharedcli.errors import UsageError
from sharedcli.evaluation import answering
from sharedcli.evaluation.answering import answer_letter, answer_text
from sharedcli.evaluation.methods.contract import Context, Method, UnfitError, Workbench
from sharedcli.evaluation.methods.encoder_decoder import EncoderDecoder
from sharedcli.evaluation.methods.lingua import surprisals
from sharedcli.evaluation.methods.registry import METHODS, make_methods, parse_methods

Bench = Callable[..., Workbench]
RUNNING = torch.arange(20, 52)


def _method(name: str, bench: Workbench) -> Method:
    return make_methods([name], bench)[name]


def _loss(name: str, bench: Workbench, text: str, running: torch.Tensor = RUNNING) -> float:
    opened = _method(name, bench).continue_text(Context.of_text(text, bench), running)
    return continuation_loss(opened.stream, opened.prompt, running)


def _given(bench: Workbench, tokens: torch.Tensor) -> float:
    return continuation_loss(CachedStream(bench.model.shared), tokens, RUNNING)


def _prompt(name: str, bench: Workbench, text: str, question: str) -> str:
    opened = _method(name, bench).ask(Context.of_text(text, bench), question, 8)
    return str(bench.tokenizer.decode(opened.prompt.tolist()))


def test_none_reads_nothing(make_bench: Bench, story: str) -> None:
    bench = make_bench()
    assert (
        _loss("none", bench, story) == _loss("none", bench, "other") == _given(bench, RUNNING[:0])
    )
    assert "lighthouse" not in _prompt("none", bench, story, "What?")


def test_full_reads_all_or_refuses(make_bench: Bench, story: str) -> None:
    bench = make_bench()
    tokens = bench.plain(story)
    assert _loss("full", bench, story) == pytest.approx(_given(bench, tokens))
    assert story in _prompt("full", bench, story, "What?")
    narrow = make_bench(window=len(tokens))
    with pytest.raises(UnfitError, match="exceed the window"):
        _loss("full", narrow, story)
    with pytest.raises(UnfitError, match="exceed the window"):
        _prompt("full", narrow, story, "What?")


def test_truncation_keeps_both_ends(make_bench: Bench, story: str) -> None:
    wide, narrow = make_bench(), make_bench(window=532)
    tokens = wide.plain(story)
    assert _loss("truncate", wide, story) == pytest.approx(_loss("full", wide, story))
    ends = torch.cat((tokens[:250], tokens[-250:]))
    assert _loss("truncate", narrow, story) == pytest.approx(_given(narrow, ends))
    bench = make_bench(window=900)
    opened = _method("truncate", bench).ask(Context.of_text(story, bench), "What?", 8)
    assert 880 <= len(opened.prompt) <= 900 - 8
    prompt = bench.tokenizer.decode(opened.prompt.tolist())
    assert "On day 1 the" in prompt
    assert "168 lines about the sea." in prompt
    assert "On day 12 the" not in prompt


def test_passages_finds_the_right_words(make_bench: Bench) -> None:
    pages = [f"Paragraph {n}. " + f"word{n} " * 150 for n in range(12)]
    bench = make_bench(passages=1)
    prompt = _prompt("passages", bench, "\n".join(pages), "Where is word7?")
    assert "word7 word7" in prompt
    assert "word3" not in prompt
    assert "word7" not in _prompt("passages", make_bench(passages=0), "\n".join(pages), "Where?")


def test_streaming_is_full_attention_until_the_window_is_full(
    make_bench: Bench, story: str
) -> None:
    bench = make_bench()
    short = story[:300]
    assert len(bench.plain(short)) + len(RUNNING) < 256
    assert _loss("streaming", bench, short) == pytest.approx(_loss("full", bench, short), rel=1e-5)
    assert _loss("streaming", bench, story) != pytest.approx(_loss("full", bench, story), rel=1e-5)


def test_lingua_keeps_what_is_hardest_to_guess(make_bench: Bench, story: str) -> None:
    bench = make_bench(budget=40)
    tokens = bench.plain(story)[:300]
    context = Context.of_text(story[:600], bench)
    context.__dict__["encoded"] = (tokens, context.encoded[1][:300])
    opened = _method("lingua", bench).continue_text(context, RUNNING)
    with torch.no_grad():
        logits = bench.model.shared(tokens[None], role=None)[0, :-1].float()
    hardest = surprisals(logits, tokens).topk(40).indices.sort().values
    assert torch.equal(opened.prompt, tokens[hardest])
    everything = _method("lingua", make_bench(budget=5000)).continue_text(context, RUNNING)
    assert torch.equal(everything.prompt, tokens)


def test_encoder_decoder_starts_as_the_base_and_can_read(make_bench: Bench, story: str) -> None:
    bench = make_bench()
    method = _method("encoder-decoder", bench)
    assert isinstance(method, EncoderDecoder)
    none = _loss("none", bench, story)
    assert _loss("encoder-decoder", bench, story) == none
    for cross in method._crosses:
        torch.nn.init.normal_(cross.out.weight, std=0.05)
    losses = []
    for text in (story, story.upper()):
        opened = method.continue_text(Context.of_text(text, bench), RUNNING)
        losses.append(continuation_loss(opened.stream, opened.prompt, RUNNING))
    assert len({round(loss, 6) for loss in (*losses, none)}) == 3
    assert _loss("none", bench, story) == none  # no hook is left on the shared base
    assert "untrained" in method.about


def test_encoder_reads_each_chunk_on_its_own(make_bench: Bench) -> None:
    encoder = ChunkEncoder(make_bench().model.base)
    tokens = torch.arange(2 * CHUNK + 10) % 200
    changed = tokens.clone()
    changed[CHUNK:] += 1
    with torch.no_grad():
        before, after = encoder(tokens), encoder(changed)
    assert before.shape[0] == len(tokens)
    torch.testing.assert_close(before[:CHUNK], after[:CHUNK])
    assert not torch.allclose(before[CHUNK : 2 * CHUNK], after[CHUNK : 2 * CHUNK])


def test_sharedllm_injects_the_whole_context(make_bench: Bench, story: str) -> None:
    bench = make_bench(trained=True)
    opened = _method("sharedllm", bench).continue_text(Context.of_text(story, bench), RUNNING)
    tokens = bench.plain(story)
    assert opened.context_tokens == len(tokens)
    assert opened.slots >= 3 * 8 * (len(tokens) // 128)
    assert len(opened.prompt) == 0
    shut = continuation_loss(opened.stream, opened.prompt, RUNNING)
    assert shut == pytest.approx(_loss("none", bench, story))  # gates start at zero
    for cross in bench.model.shared.adapter.cross:
        torch.nn.init.constant_(cross.gate, 0.5)
    one, other = _loss("sharedllm", bench, story), _loss("sharedllm", bench, story.upper())
    assert len({round(value, 6) for value in (one, other, shut)}) == 3
    assert _method("sharedllm", bench).caveat == ""
    assert "not trained" in _method("sharedllm", make_bench()).caveat


def test_sharedllm_asks_within_its_budget(make_bench: Bench, story: str) -> None:
    question = "What was written on day 9?"
    found: dict[str, Any] = {}
    for name in ("sharedllm", "sharedllm@16", "sharedllm+passages"):
        bench = make_bench(trained=True, passages=1)
        opened = _method(name, bench).ask(Context.of_text(story, bench), question, 8)
        found[name] = opened
    assert 16 < found["sharedllm"].slots <= 64
    assert 0 < found["sharedllm@16"].slots <= 16
    assert found["sharedllm"].detail["passages"] == 0
    assert found["sharedllm+passages"].detail["passages"] == 1
    assert len(found["sharedllm+passages"].prompt) > len(found["sharedllm"].prompt)
    untrained = make_bench()
    opened = _method("sharedllm+passages", untrained).ask(
        Context.of_text(story, untrained), question, 8
    )
    assert opened.slots == 0  # as `ask` does without a trained adapter


def test_answers_do_not_end_as_echoes(
    make_bench: Bench, story: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class Forcing:
        """Forces one token after another, by how many it has heard."""

        def __init__(self, tokenizer: Any, question: str, stop: frozenset[int]) -> None:
            asked.append(question)
            self._heard = 0

        def hear(self, token: int) -> None:
            self._heard += 1

        def weigh(self, logits: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.one_hot(torch.tensor(words[self._heard]), len(logits))

    bench = make_bench()
    words = [int(bench.plain(text)[0]) for text in ("a", "b", "c")]
    monkeypatch.setattr(answering, "EchoGuard", Forcing)
    opened = _method("full", bench).ask(Context.of_text(story, bench), "Which day?", 3)
    assert answer_text(opened, bench, "Which day?", 3) == "abc"
    assert asked == ["Which day?"]


def test_answers_are_greedy_and_bounded(make_bench: Bench, story: str) -> None:
    bench = make_bench()
    context = Context.of_text(story, bench)
    said = [
        answer_text(_method("full", bench).ask(context, "Which day?", 8), bench, "Which day?", 8)
        for _ in range(2)
    ]
    assert said[0] == said[1]
    assert len(bench.plain(said[0])) <= 3 * 8
    letter = answer_letter(_method("full", bench).ask(context, "Which?", 8), bench, 3)
    assert letter in "ABC"


def test_names(make_bench: Bench) -> None:
    assert parse_methods("all") == list(METHODS)
    assert parse_methods(" none, full,none") == ["none", "full"]
    for wrong in ("nothing", "", "none@5", "sharedllm@x"):
        with pytest.raises(UsageError, match=r"method"):
            parse_methods(wrong)
    assert set(make_methods(["lingua@9", "lingua"], make_bench())) == {"lingua@9", "lingua"}
