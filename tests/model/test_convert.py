"""GGUF files become folders that are equal to the model they were written from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sharedcli.errors import UsageError
from sharedcli.model.base import load_base
from sharedcli.model.convert import converted_folder
from sharedcli.model.direct import load_directly


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        return model(torch.arange(3, 40)[None]).logits


def test_a_gguf_file_gives_the_logits_of_the_model_it_was_made_from(
    tiny_gguf: Path, tiny_base: Callable[..., Any], cache: Path
) -> None:
    base = load_base(str(tiny_gguf), device="cpu", dtype="float32", cache=cache)
    torch.testing.assert_close(logits(base.model), logits(tiny_base("llama").model))
    assert base.identity.model_id == "tiny.gguf"
    assert base.window == 4096
    assert not any(parameter.requires_grad for parameter in base.model.parameters())


def test_the_direct_loader_equals_the_general_one(tiny_gguf: Path, cache: Path) -> None:
    from transformers import AutoModelForCausalLM

    folder = converted_folder(tiny_gguf, cache)
    for dtype in (torch.float32, torch.bfloat16):
        general = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
        direct = load_directly(folder, dtype, "sdpa")
        assert direct.dtype == dtype
        assert torch.equal(logits(direct), logits(general))
        mine, theirs = dict(direct.named_buffers()), dict(general.named_buffers())
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)
        assert direct.generation_config.to_dict() == general.generation_config.to_dict()


def test_digits_are_split_before_blanks_are_joined(tiny_gguf: Path, cache: Path) -> None:
    base = load_base(str(tiny_gguf), device="cpu", dtype="float32", cache=cache)
    assert base.tokenizer.tokenize("\n\n20")[-2:] == ["2", "0"]
    pre = base.tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str("a\n\n20")
    assert [piece for piece, _ in pre] == ["a", "ĊĊ", "2", "0"]
    assert base.tokenizer.decode(base.tokenizer.encode("a\n\n20")) == "a\n\n20"


def test_the_conversion_is_made_once(
    tiny_gguf: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = converted_folder(tiny_gguf, cache)

    def refuse(*_args: object) -> str:
        raise AssertionError("converted again")

    monkeypatch.setattr("sharedcli.model.convert.convert_gguf", refuse)
    assert converted_folder(tiny_gguf, cache) == folder


def test_what_is_no_gguf_file_is_refused_in_a_sentence(tmp_path: Path, cache: Path) -> None:
    for content in (b"", b"no model", b"GGUF" + b"\xff" * 100):
        path = tmp_path / "bad.gguf"
        path.write_bytes(content)
        with pytest.raises(UsageError, match=r"bad\.gguf"):
            load_base(str(path), cache=cache)
    assert not list((cache / "models").glob("*.partial"))
