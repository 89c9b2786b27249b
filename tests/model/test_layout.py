"""Families that are not of the Llama style are refused, by their modules or by their numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from sharedcli.errors import UsageError
from sharedcli.model.base import load_base
from sharedcli.model.layout import check_modules, check_residual

SIZES: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
}


def tiny(family: str, **options: Any) -> Any:
    config = getattr(transformers, f"{family}Config")(**{**SIZES, **options})
    torch.manual_seed(0)
    model = getattr(transformers, f"{family}ForCausalLM")(config)
    for parameter in model.parameters():  # many start at zero or one, where nothing would show
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


@pytest.mark.parametrize("family", ["Llama", "Mistral", "Qwen2", "Qwen3", "SmolLM3"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_llama_style_passes(family: str, dtype: torch.dtype) -> None:
    model = tiny(family).to(dtype)
    check_modules(model, "m")
    check_residual(model, "m", torch.device("cpu"))


@pytest.mark.parametrize(
    ("family", "difference"),
    [
        ("Gemma2", "also has post_feedforward_layernorm|also has pre_feedforward_layernorm"),
        ("Olmo2", "has no input_layernorm"),
        ("Cohere", "has no post_attention_layernorm"),
        ("GPTNeoX", r"has no model\.layers"),
        ("Phi3", r"has no self_attn\.q_proj|also has resid"),
    ],
)
def test_other_modules_are_refused(family: str, difference: str) -> None:
    with pytest.raises(
        UsageError, match=rf"m \(\w+\) is not a Llama-style model: .*({difference})"
    ):
        check_modules(tiny(family), "m")


@pytest.mark.parametrize(
    ("family", "options", "difference"),
    [
        ("Granite", {"residual_multiplier": 0.5}, "do not add attention and MLP"),
        ("Granite", {"embedding_multiplier": 12.0}, "embeddings are scaled"),
    ],
)
def test_same_modules_with_other_numbers_are_refused(
    family: str, options: dict[str, Any], difference: str
) -> None:
    model = tiny(family, **options)
    check_modules(model, "m")
    with pytest.raises(UsageError, match=difference):
        check_residual(model, "m", torch.device("cpu"))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
        torch.OutOfMemoryError("Tried to allocate 2 GiB"),
    ],
)
def test_what_the_device_lacks_is_not_laid_at_the_models_door(
    error: RuntimeError, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny("Llama")

    def fail(_states: torch.Tensor) -> torch.Tensor:
        raise error

    monkeypatch.setattr(model.model.layers[0].mlp, "forward", fail)
    with pytest.raises(type(error)) as raised:
        check_residual(model, "m", torch.device("cpu"))
    assert raised.value is error


def test_refused_before_the_weights_are_read(tmp_path: Path, cache: Path) -> None:
    tiny("Gemma2").save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"never read")
    with pytest.raises(UsageError, match=r"gemma2.*use a Llama, Mistral, Qwen2, Qwen3 or SmolLM"):
        load_base(str(tmp_path), device="cpu", cache=cache)
