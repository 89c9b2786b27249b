"""Asking: what is injected, what is read, what is refused, and that all of it fits the window."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_samples import BELL, LAMP, TIDE, run_index

from sharedcli.answer import verdict
from sharedcli.answer.answer import Answer
from sharedcli.engine import asking, generating
from sharedcli.engine.engine import Engine
from sharedcli.engine.opening import stored_tree
from sharedcli.errors import ModelMismatchError, NoStoreError, UsageError
from sharedcli.model.adapter import load_adapter
from sharedcli.model.compressed import CompressedKV
from sharedcli.model.tokens import tokenize_text
from sharedcli.retrieve.search import ChunkFrontier
from sharedcli.settings import Settings
from sharedcli.store import reading
from sharedcli.store.store import Store
from sharedcli.tree.context_tree import ContextTree

QUESTION = "How many litres of colza oil did the lamp burn?"
Open = Callable[..., Engine]


@pytest.fixture
def open_engine(settings_for: Callable[..., Settings], tmp_path: Path) -> Iterator[Open]:
    """A function from changes of settings to an engine, over a store that the first call fills."""
    opened: list[Engine] = []
    (tmp_path / "lamp.txt").write_text(LAMP + BELL * 2 + LAMP[:60] + BELL * 3, "utf-8")
    (tmp_path / "tide.txt").write_text(TIDE * 4 + BELL, "utf-8")

    def get(**changes: Any) -> Engine:
        # nothing is quoted unless a test asks for it: what is quoted is not opened
        engine = Engine(settings_for(**{"passages": 0} | changes))
        opened.append(engine)
        if not engine.settings.store.exists():
            run_index(engine, tmp_path / "lamp.txt", tmp_path / "tide.txt")
        return engine

    yield get
    for engine in opened:
        engine.close()


@dataclass
class Watched:
    """Token ids that the last answer was decoded from."""

    tokens: list[int]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    seen = Watched([])
    decode = generating.decode_stream

    def decoding(tokenizer: Any, tokens: Any) -> Iterator[str]:
        def counted() -> Iterator[int]:
            for token in tokens:
                seen.tokens.append(token)
                yield token

        return decode(tokenizer, counted())

    monkeypatch.setattr(generating, "decode_stream", decoding)
    monkeypatch.setattr(generating, "stop_tokens", lambda *_: frozenset())  # answers of full length
    return seen


def _ask(engine: Engine, watched: Watched, question: str = QUESTION) -> tuple[Answer, list[int]]:
    watched.tokens.clear()
    answer = engine.ask(question)
    answer.read()
    assert answer.usage.answer_tokens == len(watched.tokens) == engine.settings.max_tokens
    return answer, list(watched.tokens)


def test_an_answer_knows_its_evidence(open_engine: Open, watched: Watched) -> None:
    engine = open_engine(passages=3)
    answer, _ = _ask(engine, watched)
    assert answer.found
    best = answer.sources[0]
    assert (best.title, best.page, best.verbatim) == ("lamp.txt", 1, True)
    assert "colza oil" in best.quote
    assert answer.evidence.passages >= 1
    assert answer.usage.prompt_tokens > 100
    assert (answer.adapter, answer.model) == ("none", "tiny-llama")


# --- injection ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tokens", "ended"),
    [
        ([5, 6, 7, 8], "length"),
        ([5, 6], "stop"),
        ([5, 6, 7, 8, 9], "repetition"),
    ],
)
def test_an_answer_knows_why_it_ended(
    tokens: list[int],
    ended: str,
    open_engine: Open,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The decoder gives at most four tokens; the text of a fifth is where a repetition is seen."""

    def until_repetition(pieces: Iterator[str]) -> Iterator[str]:
        for number, piece in enumerate(pieces):
            if number == 3 and ended == "repetition":
                return
            yield piece

    monkeypatch.setattr(generating.Decoder, "generate", lambda *_: iter(tokens))
    monkeypatch.setattr(generating, "decode_stream", lambda _, ids: (f"word {i} " for i in ids))
    monkeypatch.setattr(generating, "without_repetition", until_repetition)
    answer = open_engine(max_tokens=4).ask(QUESTION)
    assert answer.usage.ended == ""
    answer.read()
    assert answer.usage.ended == ended


def test_an_answer_says_the_figure_of_the_year_that_was_asked_for(
    open_engine: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "".join(f"Lamp {n}  {n + 100}  {n + 300}\n" for n in range(200))  # several passages
    (tmp_path / "oil.txt").write_text(f"Litres  1951  1950\n{rows}Colza oil  1,240  980\n")
    engine = open_engine(passages=3)
    run_index(engine, tmp_path / "oil.txt")
    monkeypatch.setattr(generating, "decode_stream", lambda *_: iter(["It was 980 litres."]))
    for year, figure, corrected in (("1950", "980", 0), ("1951", "1,240", 1)):
        answer = engine.ask(f"How many litres of colza oil were burnt in {year}?", ["oil.txt"])
        assert answer.read() == f"It was {figure} litres."
        assert len(answer.corrected) == corrected


def test_a_row_that_is_asked_for_is_read_though_others_rank_before_it(
    open_engine: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "".join(f"Lamp {n}  {n + 100}  {n + 300}\n" for n in range(200))
    prose = "Colza oil, in 1951: of colza oil they spoke, and wrote of colza oil. " * 60
    table = f"Litres  1951  1950\nColza oil  1,240  980\n{rows}"
    (tmp_path / "oil.txt").write_text(f"{prose}\n\n{table}")
    engine = open_engine(passages=1)
    run_index(engine, tmp_path / "oil.txt")
    monkeypatch.setattr(generating, "decode_stream", lambda *_: iter(["Colza oil was 980."]))
    answer = engine.ask("How much was colza oil in 1951?", ["oil.txt"])
    assert answer.read() == "Colza oil was 1,240."
    assert "1,240" in answer.sources[0].around
    assert engine.ask("How much colza oil was burnt in 1951?", ["oil.txt"]).read().endswith("980.")


@pytest.mark.parametrize("abstain", ["auto", "never"])
@pytest.mark.parametrize("question", [QUESTION, "Give an overview of the lamp."])
def test_the_decoder_may_find_that_the_answer_is_not_stated(
    question: str,
    abstain: str,
    open_engine: Open,
    adapter_folder: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verdict, "THRESHOLD", 2.0)  # whatever it finds
    folder = adapter_folder(abstains=True)
    answer = open_engine(adapter=folder, abstain=abstain, passages=2, max_tokens=3).ask(question)
    assert answer.found
    text = answer.read()
    assert answer.unstated is not None and 0 < answer.unstated < 1
    assert answer.confidence is not None and 0 < answer.confidence < 1
    assert 0 < answer.timings.decode < answer.timings.total
    refuses = abstain == "auto" and question == QUESTION
    assert (answer.found, text == "") == (not refuses, refuses)
    assert answer.sources
    note = answer.evidence.note
    if refuses:
        assert answer.usage.ended == ""
        assert "does not seem to answer this; the nearest is part 1 of lamp.txt (--abst" in note
    else:
        assert note == ""


def test_the_guard_hears_every_token_and_decides_what_may_follow(
    open_engine: Open, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []
    asked: list[str] = []

    class Counting:
        """Forces one token after another, by what it has heard."""

        def __init__(self, tokenizer: Any, question: str, stop: frozenset[int]) -> None:
            asked.append(question)

        def hear(self, token: int) -> None:
            heard.append(token)

        def weigh(self, logits: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.one_hot(torch.tensor(len(heard) + 5), len(logits)) * 9.0

    monkeypatch.setattr(generating, "EchoGuard", Counting)
    answer, tokens = _ask(open_engine(max_tokens=12), watched)
    assert asked == [QUESTION]
    assert heard == tokens == list(range(5, 17))
    assert answer.confidence is not None  # the verdict hears of what was picked


def test_an_adapter_that_was_not_taught_to_tell_is_not_asked(
    open_engine: Open, adapter_folder: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdict, "THRESHOLD", 2.0)
    answer = open_engine(adapter=adapter_folder(), passages=2, max_tokens=3).ask(QUESTION)
    answer.read()
    assert (answer.found, answer.unstated) == (True, None)
    assert answer.confidence is not None and 0 < answer.confidence < 1


def test_auto_injects_nothing_without_training_and_says_so(
    open_engine: Open, watched: Watched
) -> None:
    answer, tokens = _ask(open_engine(), watched)
    never, expected = _ask(open_engine(inject="never"), watched)
    assert tokens == expected
    assert answer.usage.slots == answer.evidence.slots == never.usage.slots == 0
    assert answer.evidence.chunks == ()
    assert "no trained adapter" in answer.evidence.note
    assert "--inject always" in answer.evidence.note
    assert never.evidence.note == "injection is off"


def test_auto_injects_with_a_trained_adapter_only(
    open_engine: Open, watched: Watched, adapter_folder: Callable[..., str]
) -> None:
    trained, _ = _ask(open_engine(adapter=adapter_folder(steps=1)), watched)
    assert trained.usage.slots > 0
    assert trained.evidence.note == ""
    folder = adapter_folder(steps=0)
    other = open_engine(adapter=folder, store=open_engine().settings.store.with_name("other"))
    untrained, _ = _ask(other, watched)
    assert untrained.adapter == folder
    assert untrained.usage.slots == 0
    assert "no trained adapter" in untrained.evidence.note


def test_always_injects_within_the_budget(open_engine: Open, watched: Watched) -> None:
    for budget in (8, 16, 40, 1000):
        answer, _ = _ask(open_engine(inject="always", budget=budget), watched)
        assert 0 < answer.usage.slots <= budget
        assert answer.evidence.note == ""
        chunks = answer.evidence.chunks
        assert answer.usage.slots == sum(4 * len(chunk.nodes) for chunk in chunks)
        assert answer.usage.context_tokens <= 64 * len(chunks)
        assert "lamp.txt" in chunks[0].doc
    nothing, _ = _ask(open_engine(inject="always", budget=0), watched)
    assert nothing.usage.slots == 0


def test_the_papers_form_with_shut_gates_is_the_base(open_engine: Open, watched: Watched) -> None:
    """The adapter of a base that has none: cross-attention whose gates are at zero."""
    question, sizes = "What of the lamp and the bell?", {"passages": 1, "max_tokens": 24}
    always, tokens = _ask(open_engine(inject="always", **sizes), watched, question)
    never, expected = _ask(open_engine(inject="never", **sizes), watched, question)
    assert always.usage.slots > 0
    assert tokens == expected
    assert always.usage.prompt_tokens == never.usage.prompt_tokens


@pytest.mark.parametrize("form", ["joint", "cross"])
def test_slots_change_the_answer(
    open_engine: Open, watched: Watched, adapter_folder: Callable[..., str], form: str
) -> None:
    folder = adapter_folder(form=form, noise=0.1)
    _, injected = _ask(open_engine(adapter=folder, max_tokens=24), watched)
    _, plain = _ask(open_engine(adapter=folder, max_tokens=24, inject="never"), watched)
    assert injected != plain


@pytest.mark.parametrize("form", ["joint", "cross"])
@pytest.mark.parametrize("levels", ["per_node", "nested"])
def test_the_store_and_the_online_compressor_give_the_same_answer(
    open_engine: Open,
    watched: Watched,
    *,
    adapter_folder: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    levels: str,
) -> None:
    engine = open_engine(
        adapter=adapter_folder(form=form, noise=0.1),
        levels=levels,
        max_tokens=24,
        budget=60,
        passages=3,
        inject="always",
        dtype="float64",  # in float32 two tokens may be as likely, up to rounding
    )
    stored, tokens = _ask(engine, watched)
    used: list[int] = []

    def online(
        store: Store,
        frontiers: Sequence[ChunkFrontier],
        trees: Mapping[str, ContextTree],
        dtype: torch.dtype,
        compressor: Any,
    ) -> CompressedKV:
        parts = []
        model = engine.model()
        for doc_id, chunks in groupby(frontiers, key=lambda frontier: frontier.doc_id):
            text = store.load_document(doc_id).text
            ids = torch.from_numpy(tokenize_text(model.base.tokenizer, text)[0]).long()
            nodes = [chunk.nodes for chunk in chunks]
            parts.append(model.compressor.compress_frontiers([ids], [trees[doc_id]], [nodes]))
            used.append(sum(map(len, nodes)))
        return CompressedKV.cat(parts)

    monkeypatch.setattr(asking, "read_context", online)
    again, expected = _ask(engine, watched)
    assert tokens == expected
    assert stored.text == again.text
    assert sum(used) == sum(len(chunk.nodes) for chunk in stored.evidence.chunks) > 0
    assert stored.usage == again.usage


def test_only_needed_tensors_are_read(
    open_engine: Open, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[str, int, set[str]]] = []
    real = reading.read_tensors

    def reads(blobs: Any, blob: Any, doc: str, chunk: int, directory: Any, **rest: Any) -> Any:
        read.append((doc, chunk, set(directory)))
        return real(blobs, blob, doc, chunk, directory, **rest)

    monkeypatch.setattr(reading, "read_tensors", reads)
    _ask(open_engine(inject="never"), watched)
    _ask(open_engine(inject="auto"), watched)
    assert read == []
    answer, _ = _ask(open_engine(inject="always", budget=20), watched)
    ids = {record.source: record.id for record in open_engine().documents()}
    needed = [
        (
            ids[one.doc],
            one.chunk,
            {f"level{n}.{k}" for n, _ in one.nodes for k in ("keys", "values")},
        )
        for one in answer.evidence.chunks
    ]
    assert read == needed
    all_chunks = sum(record.chunks for record in open_engine().documents())
    assert 0 < len(read) < all_chunks


# --- the window ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small_window(
    tiny_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> str:
    """A base that reads 400 tokens at once."""
    folder = tmp_path_factory.mktemp("small") / "base"
    shutil.copytree(tiny_folder("llama"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 400}))
    return str(folder)


@pytest.mark.parametrize("mode", ["chunk_only", "local_plus_chunk", "local_only", "slot_order"])
@pytest.mark.parametrize(("budget", "max_tokens"), [(0, 5), (40, 60), (400, 5), (400, 40)])
def test_slots_prompt_and_answer_stay_within_the_window(
    open_engine: Open,
    watched: Watched,
    *,
    adapter_folder: Callable[..., str],
    small_window: str,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    budget: int,
    max_tokens: int,
) -> None:
    engine = open_engine(
        model=small_window,
        adapter=adapter_folder(key_position_mode=mode),
        passages=1,
        budget=budget,
        max_tokens=max_tokens,
        decode_weights="unpacked",  # positions are seen there; the packed ones are held to these
    )
    model = engine.model().base.model
    positions: list[torch.Tensor] = []
    real = model.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        positions.append(kwargs["position_ids"])
        return real(*args, **kwargs)

    monkeypatch.setattr(model, "forward", forward)
    answer, _ = _ask(engine, watched, "What of the lamp and the bell?")
    assert (answer.usage.slots > 0) == (budget > 0)
    first, last = int(positions[0].min()), int(positions[-1].max())
    assert (first > 0) == (budget > 0)
    assert last + 1 == first + answer.usage.prompt_tokens + max_tokens - 1
    assert first + answer.usage.prompt_tokens + max_tokens <= 400
    # The passages would fill the window several times: the prompt takes what is left of it.
    assert first + answer.usage.prompt_tokens + max_tokens > 400 - 24


def test_what_cannot_fit_the_window_is_refused(
    open_engine: Open, adapter_folder: Callable[..., str], small_window: str
) -> None:
    def asked(question: str = QUESTION, **changes: Any) -> str:
        engine = open_engine(model=small_window, **changes)
        with pytest.raises(UsageError) as caught:
            engine.ask(question)
        return str(caught.value)

    assert "--max-tokens 400 and 0 positions" in asked(max_tokens=400)
    assert "the question needs" in asked(max_tokens=390)
    assert "ask a shorter question" in asked("What of the lamp? " * 100)
    store = open_engine(model=small_window).settings.store.with_name("places")
    folder = adapter_folder(key_position_mode="document")
    message = asked("What of the fog bell?", adapter=folder, budget=4000, store=store)
    assert "lower --max-tokens or --budget" in message


# --- what is refused, what is not found -----------------------------------------------------------


@pytest.mark.parametrize("question", ["", "  \n", "\x1b[31m", "\udcff"])
def test_an_empty_question_is_refused(open_engine: Open, question: str) -> None:
    with pytest.raises(UsageError, match="the question is empty"):
        open_engine().ask(question)


def test_nothing_relevant_is_not_found(open_engine: Open, watched: Watched) -> None:
    answer = open_engine(inject="always").ask("zyzzyva quokka?")
    assert not answer.found
    assert answer.read() == ""
    assert answer.sources == ()
    assert answer.usage.prompt_tokens == answer.usage.slots == 0
    assert "no passage" in answer.evidence.note
    assert watched.tokens == []


def test_bytes_that_are_no_text_are_left_out(open_engine: Open, watched: Watched) -> None:
    engine = open_engine()
    _, clean = _ask(engine, watched, "Where did the lamp burn?")
    answer, tokens = _ask(engine, watched, "Where did \udcffthe\x00 lamp\x1b[31m burn?")
    assert tokens == clean
    assert answer.question == "Where did the lamp burn?"
    assert len(engine.open_nodes("lamp \udcff")) == len(engine.open_nodes("lamp")) > 0


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"chunk_tokens": 128}, "geometry.chunk_tokens was 64, is 128"),
        ({"levels": "nested"}, "geometry.levels was 'per_node', is 'nested'"),
        ({"dtype": "bfloat16"}, "dtype was 'float32', is 'bfloat16'"),
    ],
)
def test_trees_of_other_makers_are_refused(
    open_engine: Open, changes: dict[str, Any], named: str
) -> None:
    open_engine()
    with pytest.raises(ModelMismatchError, match=named):
        open_engine(**changes).ask(QUESTION)


def test_trees_of_another_model_or_adapter_are_refused(
    open_engine: Open,
    adapter_folder: Callable[..., str],
    tiny_folder: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    open_engine()
    other = tmp_path / "other"
    shutil.copytree(tiny_folder("llama"), other)
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-4] ^= 1
    (other / "model.safetensors").write_bytes(weights)
    with pytest.raises(ModelMismatchError, match="weights was"):
        open_engine(model=str(other)).ask(QUESTION)
    with pytest.raises(ModelMismatchError, match="adapter was 'none'"):
        open_engine(adapter=adapter_folder()).ask(QUESTION)


def test_trees_serve_an_adapter_that_has_their_compressor(
    open_engine: Open,
    adapter_folder: Callable[..., str],
    tiny_base: Callable[..., Any],
    tmp_path: Path,
) -> None:
    first = adapter_folder()
    open_engine(adapter=first)
    adapter = load_adapter(Path(first), tiny_base("llama").model)
    made_by = adapter.digest()
    with torch.no_grad():
        for parameter in adapter.decoder.parameters():
            parameter.mul_(2)
    adapter.config = replace(adapter.config, trees=made_by)
    adapter.save(tmp_path / "second")
    answer = open_engine(adapter=str(tmp_path / "second")).ask(QUESTION)
    assert answer.evidence.slots > 0
    adapter.config = replace(adapter.config, trees="")
    adapter.save(tmp_path / "third")
    with pytest.raises(ModelMismatchError, match=f"adapter was '{made_by}'"):
        open_engine(adapter=str(tmp_path / "third")).ask(QUESTION)


def test_no_store_no_document(
    open_engine: Open, settings_for: Callable[..., Settings], tmp_path: Path
) -> None:
    with Engine(settings_for(store=tmp_path / "nowhere")) as engine:
        with pytest.raises(NoStoreError, match="no store at"):
            engine.ask(QUESTION)
        assert not (tmp_path / "nowhere").exists()
        engine.store(create=True)
        with pytest.raises(NoStoreError, match="holds no documents"):
            engine.ask(QUESTION)
    with pytest.raises(NoStoreError):
        open_engine().ask(QUESTION, ["absent.txt"])


# --- conversations --------------------------------------------------------------------------------


def test_a_follow_up_finds_what_the_question_before_was_about(
    open_engine: Open, watched: Watched
) -> None:
    engine = open_engine()
    history = [("How high were the spring tides in March?", "The third step.")]
    followed = engine.ask("And when was that?", history=history)
    assert followed.sources[0].title == "tide.txt"
    assert "tide.txt" not in {one.title for one in engine.ask("And when was that?").sources[:1]}


def test_the_prompt_has_the_words_of_the_best_passages_and_the_turns_before(
    open_engine: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[Any, ...]] = []
    real = asking.build_prompt

    def noted(*arguments: Any) -> Any:
        given.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(asking, "build_prompt", noted)
    (tmp_path / "long.txt").write_text("The mole was mended in May. " * 100 + LAMP, "utf-8")
    engine, history = open_engine(passages=1), [("Who keeps the mole?", "The harbour master.")]
    run_index(engine, tmp_path / "long.txt")
    engine.ask(QUESTION, ["long.txt"], history=history).read()
    _, question, excerpts, _, turns = given[0]
    assert question == QUESTION
    assert len(excerpts) == 1 and "litres of colza oil" in excerpts[0].text
    assert list(turns) == history


def test_only_what_the_prompt_has_room_for_is_verbatim(
    open_engine: Open, small_window: str, tmp_path: Path
) -> None:
    parts = [f"On day {n} the lamp burned colza oil. " * 20 for n in range(4)]
    (tmp_path / "long.txt").write_text("\n\n".join(parts), "utf-8")
    engine = open_engine(model=small_window, passages=3, max_tokens=5, inject="never")
    run_index(engine, tmp_path / "long.txt")
    answer = engine.ask("Which oil did the lamp burn?", ["long.txt"])
    assert answer.evidence.passages == 1
    assert [one.verbatim for one in answer.sources] == [True, *[False] * (len(answer.sources) - 1)]
    assert len(answer.sources) > 1


def test_where_nothing_is_quoted_the_decoders_verdict_does_not_count(
    open_engine: Open, adapter_folder: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdict, "THRESHOLD", 2.0)
    answer = open_engine(adapter=adapter_folder(abstains=True), max_tokens=3).ask(QUESTION)
    answer.read()
    assert answer.found
    assert answer.usage.slots > 0


def test_the_tokens_that_slots_stand_for_are_those_of_the_opened_chunks(open_engine: Open) -> None:
    engine = open_engine(inject="always", budget=40)
    answer = engine.ask(QUESTION)
    trees = {one.source: stored_tree(engine.store(), one) for one in engine.documents()}
    covered = [trees[one.doc].root(one.chunk).tokens for one in answer.evidence.chunks]
    assert answer.usage.context_tokens == sum(covered) > 0


def test_two_reports_of_one_title_are_told_apart(
    open_engine: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for year, text in (("2021", LAMP), ("2022", LAMP.replace("lamp", "lantern") + BELL)):
        page = f"<title>Yearly report</title><p>{text}"
        (tmp_path / f"{year}.html").write_text(page, "utf-8")
    engine = open_engine(passages=3)
    run_index(engine, tmp_path / "2021.html", tmp_path / "2022.html")
    quoted: list[str] = []
    build = asking.build_prompt

    def noting(tokenizer: Any, question: str, excerpts: Sequence[Any], *rest: Any) -> Any:
        quoted.extend(excerpt.name for excerpt in excerpts)
        return build(tokenizer, question, excerpts, *rest)

    monkeypatch.setattr(asking, "build_prompt", noting)
    engine.ask(QUESTION, ["*.html"])
    assert {"2021.html", "2022.html"} <= set(quoted)


def test_a_document_that_is_replaced_while_the_model_loads_is_asked_as_it_is_then(
    open_engine: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = open_engine(passages=2)
    before = {record.id for record in other.documents()}
    with Engine(other.settings) as engine:
        load = engine.model

        def loading() -> Any:
            if {record.id for record in other.documents()} == before:
                (tmp_path / "lamp.txt").write_text(LAMP + TIDE, "utf-8")
                run_index(other, tmp_path / "lamp.txt")
            return load()

        monkeypatch.setattr(engine, "model", loading)
        answer = engine.ask(QUESTION)
        cited = {source.doc_id for source in answer.sources}
    assert cited <= {record.id for record in other.documents()}
    assert cited - before
