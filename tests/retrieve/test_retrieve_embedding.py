from __future__ import annotations

import numpy as np
import pytest
import torch

from sharedcli.retrieve.embedding import (
    MAX_TOKENS,
    VECTOR_SIZE,
    SentenceEncoder,
    _batches,
    read_encoder,
)
from sharedcli.retrieve.passages import WINDOWS

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    *["the", "page", "of", "a", "report", "says", "sales", "rose", "in", "may", "."],
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> SentenceEncoder:
    """A random BERT of one layer with the encoder's width, read from a folder as users' is."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=VECTOR_SIZE,
        num_hidden_layers=1,
        num_attention_heads=12,
        intermediate_size=64,
        max_position_embeddings=MAX_TOKENS,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(folder / "tokenizer.json"))
    return read_encoder(folder, device="cpu", dtype="float32")


def test_vectors_have_length_one(encoder: SentenceEncoder) -> None:
    vectors = encoder.encode(["the page", "sales rose in may", ""])
    assert vectors.shape == (3, VECTOR_SIZE)
    assert vectors.dtype == np.float16
    assert np.linalg.norm(vectors.astype(np.float32), axis=1) == pytest.approx(1, abs=2e-3)


def test_a_batch_equals_its_texts_one_by_one(encoder: SentenceEncoder) -> None:
    texts = ["the page", "a report says sales rose in may .", "may", "of of of of the report"] * 20
    together = encoder.encode(texts)
    alone = np.concatenate([encoder.encode([text]) for text in texts[:4]])
    assert together[:4] == pytest.approx(alone, abs=2e-3)
    assert (together[:4] == together[4:8]).all()


def test_texts_longer_than_the_window_are_cut(encoder: SentenceEncoder) -> None:
    long = "sales rose " * 1000
    assert (encoder.encode([long]) == encoder.encode([long + "in may"])).all()


def test_no_texts_have_no_vectors(encoder: SentenceEncoder) -> None:
    assert encoder.encode([]).shape == (0, VECTOR_SIZE)
    assert encoder.encode_passages([]).shape == (0, WINDOWS * VECTOR_SIZE)


def test_passages_carry_one_vector_per_window(encoder: SentenceEncoder) -> None:
    short, long = "sales rose in may .", "the report says sales rose . " * 40
    vectors = encoder.encode_passages([short, "", long]).reshape(3, WINDOWS, VECTOR_SIZE)
    assert vectors[0, 0] == pytest.approx(encoder.encode([short])[0], abs=2e-3)
    assert not vectors[0, 1:].any()
    assert not vectors[1].any()
    assert vectors[2].any(axis=-1).all()


def test_progress_reaches_the_number_of_texts(encoder: SentenceEncoder) -> None:
    steps: list[tuple[int, int]] = []
    encoder.encode(["may", "the page"] * 100, lambda done, total: steps.append((done, total)))
    assert steps[-1] == (200, 200)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)


def test_batches_hold_each_text_once_and_a_bounded_number_of_tokens() -> None:
    lengths = [(7 * i) % 256 + 2 for i in range(500)]
    batches = list(_batches(lengths))
    assert sorted(i for batch in batches for i in batch) == list(range(500))
    tokens = [sum(lengths[i] for i in batch) for batch in batches]
    assert max(tokens) <= 1024
    assert min(tokens[:-1]) > 1024 - 256  # full, but for the last
    assert list(_batches([])) == []
