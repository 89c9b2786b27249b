"""Streamed text equals the text decoded at once, whatever the tokens are and however it is cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharedcli.answer.stream import decode_stream, stop_tokens
from sharedcli.ingest.sanitise import sanitise

SPLIT = "🙂é€漢字 \u202enoon\x1b[31mred\x07\r\nمرحبا"


def _byte_fallback() -> Any:
    """A tokenizer of the Llama 2 kind: words with a blank before them, and bytes for the rest."""
    from tokenizers import Tokenizer, decoders, models, normalizers

    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    words += ["▁", "▁the", "▁fog", "a", "b", "é", "\ufffd", "\n"]
    vocabulary = {word: at for at, word in enumerate(words)}
    tokenizer = Tokenizer(
        models.BPE(vocab=vocabulary, merges=[], byte_fallback=True, unk_token="<unk>")
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    return SimpleNamespace(backend_tokenizer=tokenizer)


FALLBACK = _byte_fallback()
_SIZE = FALLBACK.backend_tokenizer.get_vocab_size()


def _once(tokenizer: Any, tokens: Sequence[int]) -> str:
    return sanitise(tokenizer.backend_tokenizer.decode(tokens, skip_special_tokens=True))


@pytest.fixture(scope="module")
def tokenizer(tiny_base: Callable[..., Any]) -> Any:
    return tiny_base("llama").tokenizer


def _bytes_of(text: str) -> st.SearchStrategy[list[int]]:
    return st.just([FALLBACK.backend_tokenizer.token_to_id(f"<0x{b:02X}>") for b in text.encode()])


@settings(max_examples=300)
@given(tokens=st.lists(st.integers(0, 299), max_size=24))
def test_random_tokens_of_a_byte_level_vocabulary(tokenizer: Any, tokens: list[int]) -> None:
    assert "".join(decode_stream(tokenizer, tokens)) == _once(tokenizer, tokens)
    assert _once(tokenizer, tokens) == sanitise(tokenizer.decode(tokens, skip_special_tokens=True))


@settings(max_examples=300)
@given(
    parts=st.lists(
        st.lists(st.integers(0, _SIZE - 1), max_size=4)
        | st.lists(st.integers(259, _SIZE - 1), max_size=3)
        | st.sampled_from("é€🙂\n").flatmap(_bytes_of),
        max_size=8,
    )
)
def test_random_tokens_of_a_vocabulary_with_byte_fallback(parts: list[list[int]]) -> None:
    tokens = [token for part in parts for token in part]
    assert "".join(decode_stream(FALLBACK, tokens)) == _once(FALLBACK, tokens)


@given(text=st.text(max_size=40) | st.just(SPLIT))
def test_text_comes_back_sanitised(tokenizer: Any, text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    tokens = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    pieces = list(decode_stream(tokenizer, tokens))
    assert "".join(pieces) == sanitise(text)
    assert all(pieces)
    assert not any("\ufffd" in piece for piece in pieces) or "\ufffd" in text


def test_a_character_in_several_tokens_comes_when_it_is_whole(tokenizer: Any) -> None:
    tokens = tokenizer("🙂a", add_special_tokens=False)["input_ids"]
    assert len(tokens) > 4
    fed = 0

    def counted() -> Iterator[int]:
        nonlocal fed
        for token in tokens:
            fed += 1
            yield token

    seen = [(piece, fed) for piece in decode_stream(tokenizer, counted())]
    assert seen == [("🙂", len(tokens) - 1), ("a", len(tokens))]


def test_a_character_that_is_cut_off_is_not_swallowed(tokenizer: Any) -> None:
    tokens = tokenizer("ab🙂", add_special_tokens=False)["input_ids"][:-1]
    assert "".join(decode_stream(tokenizer, tokens)) == "ab\ufffd"


def test_special_and_unknown_tokens_give_no_text(tokenizer: Any) -> None:
    tokens = tokenizer("a🙂b", add_special_tokens=False)["input_ids"]
    mixed = [one for token in tokens for one in (token, 1, 10_000, 2)]
    assert "".join(decode_stream(tokenizer, mixed)) == "a🙂b"
    assert list(decode_stream(tokenizer, [])) == []


def test_stop_tokens(tokenizer: Any) -> None:
    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in ("<|endoftext|>", "<|im_end|>")}
    assert stop_tokens(SimpleNamespace(eos_token_id=None), tokenizer) == set(ids.values())
    assert stop_tokens(SimpleNamespace(eos_token_id=[7, 9]), tokenizer) == {7, 9, *ids.values()}
    assert stop_tokens(SimpleNamespace(eos_token_id=0), tokenizer) >= {0, *ids.values()}
    assert stop_tokens(SimpleNamespace(), tokenizer) == set(ids.values())
