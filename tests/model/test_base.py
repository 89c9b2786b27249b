"""Loading bases: what is read, what is refused, what identifies it."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from sharedcli.errors import CorruptionError, ModelMissingError, UsageError
from sharedcli.model.base import load_base


@pytest.fixture
def own_folder(tiny_folder: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy of the tiny Llama model that a test may spoil."""
    return Path(shutil.copytree(tiny_folder("llama"), tmp_path / "own"))


def test_every_architecture_loads_frozen_and_in_evaluation_mode(any_base: Any) -> None:
    assert any_base.dtype == torch.float64
    assert not any_base.model.training
    assert not any(parameter.requires_grad for parameter in any_base.model.parameters())
    assert {parameter.dtype for parameter in any_base.model.parameters()} == {torch.float64}
    assert (any_base.layers, any_base.hidden_size) == (4, 64)
    assert (any_base.heads, any_base.kv_heads, any_base.head_dim) == (4, 2, 16)
    assert any_base.window == 4096
    assert any_base.memory_bytes > 0
    assert any_base.tokenizer.is_fast


def test_the_chat_template_and_offsets_work(tiny_base: Callable[..., Any]) -> None:
    tokenizer = tiny_base().tokenizer
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "é?"}], add_generation_prompt=True, tokenize=False
    )
    assert text == "<|im_start|>user\né?<|im_end|>\n<|im_start|>assistant\n"
    encoded = tokenizer("Revenue rose", return_offsets_mapping=True)
    assert encoded["offset_mapping"][-1][1] == len("Revenue rose")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_the_dtype_is_the_one_asked_for(tiny_base: Callable[..., Any], dtype: str) -> None:
    base = tiny_base("llama", dtype)
    assert {parameter.dtype for parameter in base.model.parameters()} == {getattr(torch, dtype)}
    assert base.identity.dtype == dtype


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_attention_implementations_agree(tiny_base: Callable[..., Any], attention: str) -> None:
    base = tiny_base("llama", "float64", attn_implementation=attention)
    assert base.model.config._attn_implementation == attention == base.attn_implementation
    tokens = torch.arange(3, 60)[None]
    with torch.inference_mode():
        expected = tiny_base("llama", "float64").model(tokens).logits
        # the eager implementation takes its softmax in float32, whatever the dtype
        torch.testing.assert_close(base.model(tokens).logits, expected, atol=1e-4, rtol=1e-3)


def test_identity_follows_the_content_not_the_place(
    own_folder: Path, tiny_base: Callable[..., Any], cache: Path
) -> None:
    original = tiny_base("llama").identity
    copy = load_base(str(own_folder), device="cpu", dtype="float32", cache=cache).identity
    assert copy.model_id == "own"
    assert copy.weights_sha256 == original.weights_sha256
    assert copy.tokenizer_sha256 == original.tokenizer_sha256
    assert len({tiny_base(name).identity.weights_sha256 for name in ("llama", "mistral")}) == 2

    weights = own_folder / "model.safetensors"
    tensors = load_file(weights)
    tensors["model.norm.weight"][0] += 1e-3
    save_file(tensors, weights, metadata={"format": "pt"})
    tokenizer = own_folder / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text() + "\n")
    changed = load_base(str(own_folder), device="cpu", dtype="float32", cache=cache).identity
    assert changed.weights_sha256 != original.weights_sha256
    assert changed.tokenizer_sha256 != original.tokenizer_sha256

    config = json.loads((own_folder / "config.json").read_text())
    config["transformers_version"] = "5.0.0"
    (own_folder / "config.json").write_text(json.dumps(config))
    same = load_base(str(own_folder), device="cpu", dtype="float32", cache=cache).identity
    assert same == changed
    config["rms_norm_eps"] = 1e-3
    (own_folder / "config.json").write_text(json.dumps(config))
    other = load_base(str(own_folder), device="cpu", dtype="float32", cache=cache).identity
    assert other.weights_sha256 != changed.weights_sha256
    assert changed.to_dict().keys() >= {"model_id", "dtype", "quantization"}


def test_a_sharded_model_is_the_same_model(
    own_folder: Path, tiny_base: Callable[..., Any], cache: Path
) -> None:
    tiny_base("llama").model.save_pretrained(own_folder, max_shard_size="100KB")
    (own_folder / "model.safetensors").unlink()
    assert len(list(own_folder.glob("model-*.safetensors"))) > 1
    base = load_base(str(own_folder), device="cpu", dtype="float32", cache=cache)
    assert base.identity.weights_sha256 == tiny_base("llama").identity.weights_sha256
    next(own_folder.glob("model-*.safetensors")).unlink()
    with pytest.raises(ModelMissingError, match="is missing; get it again"):
        load_base(str(own_folder), device="cpu", cache=cache)


def test_pickled_weights_are_refused(own_folder: Path, cache: Path) -> None:
    (own_folder / "model.safetensors").unlink()
    with pytest.raises(ModelMissingError, match="no safetensors weights"):
        load_base(str(own_folder), device="cpu", cache=cache)
    (own_folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(UsageError, match="only pickled weights"):
        load_base(str(own_folder), device="cpu", cache=cache)


def test_code_in_a_model_folder_is_not_run(own_folder: Path, cache: Path) -> None:
    config = json.loads((own_folder / "config.json").read_text())
    config["model_type"] = "homemade"
    config["auto_map"] = {
        "AutoConfig": "homemade.HomemadeConfig",
        "AutoModelForCausalLM": "homemade.HomemadeModel",
    }
    (own_folder / "config.json").write_text(json.dumps(config))
    (own_folder / "homemade.py").write_text(
        f"open({str(own_folder / 'ran')!r}, 'w').close()\nclass HomemadeConfig: ...\n"
    )
    with pytest.raises(UsageError, match="own is not a language model that transformers knows"):
        load_base(str(own_folder), device="cpu", cache=cache)
    assert not (own_folder / "ran").exists()


def test_weights_that_lack_a_tensor_are_not_filled_with_random_numbers(
    own_folder: Path, cache: Path
) -> None:
    weights = own_folder / "model.safetensors"
    tensors = load_file(weights)
    del tensors["model.layers.2.mlp.up_proj.weight"]
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(CorruptionError, match=r"lack model\.layers\.2\.mlp\.up_proj\.weight"):
        load_base(str(own_folder), device="cpu", cache=cache)


def test_damaged_files_are_told_in_a_sentence(own_folder: Path, cache: Path) -> None:
    (own_folder / "tokenizer.json").write_text("{")
    with pytest.raises(UsageError, match="no tokenizer that can be loaded"):
        load_base(str(own_folder), device="cpu", cache=cache)
    weights = own_folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UsageError, match="own cannot be loaded"):
        load_base(str(own_folder), device="cpu", cache=cache)
    (own_folder / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="not a language model"):
        load_base(str(own_folder), device="cpu", cache=cache)


def test_a_local_model_opens_no_connection_and_prints_nothing(
    own_folder: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def refuse(*_args: Any, **_options: Any) -> None:
        raise AssertionError("opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    load_base(str(own_folder), device="cpu", dtype="float32", cache=cache, offline=True)
    output = capfd.readouterr()
    assert output.out == output.err == ""
