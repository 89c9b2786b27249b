"""``embed``: vectors of all passages when they are indexed, or of some when a question comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engine_samples import run_index

from sharedcli.engine import remembered
from sharedcli.engine.engine import Engine
from sharedcli.retrieve.embedding import VECTOR_SIZE
from sharedcli.settings import Settings
from sharedcli.store.identity import NO_ENCODER

QUESTION = "What did the lamp burn?"
TEXT = "The lamp burned colza oil. The bell was rung by hand. The tide was high at noon. " * 40


class Encoder:
    """Every text points the same way; counts what it reads."""

    passage_size = 2 * VECTOR_SIZE

    def __init__(self) -> None:
        self.passages = 0

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        return np.eye(VECTOR_SIZE, dtype=np.float16)[[0] * len(texts)]

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        self.passages += len(texts)
        vectors = np.zeros((len(texts), self.passage_size), np.float16)
        vectors[:, 0] = 1
        return vectors


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> Encoder:
    encoder = Encoder()
    monkeypatch.setattr(Engine, "encoder", lambda _self: encoder)
    monkeypatch.setattr(remembered, "is_fetched", lambda _cache: True)
    return encoder


@pytest.fixture
def settings(settings_for: Callable[..., Settings], tmp_path: Path) -> Settings:
    (tmp_path / "day.txt").write_text(TEXT, "utf-8")
    return settings_for(embed="ask")


def test_no_passage_is_embedded_until_a_question_comes(
    settings: Settings, encoder: Encoder, tmp_path: Path
) -> None:
    with Engine(settings) as engine:
        run_index(engine, tmp_path / "day.txt")
        (record,) = engine.documents()
        store = engine.store()
        assert encoder.passages == 0
        ((_, passages, vectors),) = store.read_passages([record.id])
        assert vectors.size == 0
        assert store.identity(record.id).passage_encoder == NO_ENCODER
        answer = engine.ask(QUESTION)
        assert 0 < encoder.passages == len(passages) < 32
        assert answer.sources


def test_it_makes_no_difference_to_what_is_found(
    settings: Settings, encoder: Encoder, tmp_path: Path
) -> None:
    found = []
    for embed in ("ask", "index"):
        changed = replace(settings, embed=embed, store=tmp_path / embed)
        with Engine(changed) as engine:
            run_index(engine, tmp_path / "day.txt")
            answer = engine.ask(QUESTION)
            found.append(([one.quote for one in answer.sources], "".join(answer)))
    assert found[0] == found[1]


def test_either_is_asked_with_the_other_setting_and_made_anew_by_index(
    settings: Settings, encoder: Encoder, tmp_path: Path
) -> None:
    for embed, other in (("ask", "index"), ("index", "ask")):
        place = tmp_path / embed
        with Engine(replace(settings, embed=embed, store=place)) as engine:
            run_index(engine, tmp_path / "day.txt")
        with Engine(replace(settings, embed=other, store=place)) as engine:
            assert engine.ask(QUESTION).sources
            (done,) = [e for e in engine.index([str(tmp_path / "day.txt")]) if e.kind == "done"]
            assert done.counts is not None
            assert done.counts.changed == 1
            (record,) = engine.documents()
            ((_, _, vectors),) = engine.store().read_passages([record.id])
            assert bool(vectors.size) == (other == "index")
