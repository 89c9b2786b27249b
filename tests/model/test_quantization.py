"""Four and eight bits through bitsandbytes, on the CPU."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sharedcli.errors import UsageError
from sharedcli.model import quantization
from sharedcli.model.base import load_base
from sharedcli.model.quantization import quantization_config, resolve_quantization

CPU = torch.device("cpu")
needs_bitsandbytes = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="the extra [bnb] is not installed"
)


def test_names() -> None:
    assert resolve_quantization(None, CPU) is None
    assert resolve_quantization("none", CPU) is None
    with pytest.raises(UsageError, match="--quantization 4bit is unknown; use bnb-4bit"):
        resolve_quantization("4bit", CPU)
    with pytest.raises(UsageError, match="does not run on mps"):
        resolve_quantization("bnb-4bit", torch.device("mps"))


def test_a_missing_extra_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantization.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(UsageError, match=re.escape("pip install 'sharedcli[bnb]'")):
        resolve_quantization("bnb-4bit", CPU)


def test_four_bits_are_nf4_with_double_quantisation() -> None:
    config = quantization_config("bnb-4bit", torch.bfloat16)
    assert config.load_in_4bit
    assert config.bnb_4bit_quant_type == "nf4"
    assert config.bnb_4bit_use_double_quant
    assert config.bnb_4bit_compute_dtype == torch.bfloat16
    assert quantization_config("bnb-8bit", torch.bfloat16).load_in_8bit
    assert quantization_config(None, torch.bfloat16) is None


@needs_bitsandbytes
@pytest.mark.parametrize("kind", ["bnb-4bit", "bnb-8bit"])
def test_a_tiny_base_stays_near_its_own_logits(
    kind: str,
    tiny_folder: Callable[[str], Path],
    tiny_base: Callable[..., Any],
    cache: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder, whole = tiny_folder("llama"), tiny_base("llama").model
    capfd.readouterr()
    base = load_base(str(folder), device="cpu", dtype="bfloat16", quantization=kind, cache=cache)
    assert base.quantization == base.identity.quantization == kind
    tokens = torch.arange(3, 40)[None]
    with torch.inference_mode():
        exact = whole(tokens).logits.flatten()
        near = base.model(tokens).logits.float().flatten()
    assert torch.nn.functional.cosine_similarity(exact, near, dim=0) > 0.9
    assert not torch.equal(exact, near)
    assert capfd.readouterr().err == ""


@needs_bitsandbytes
@pytest.mark.default_model
def test_nf4_of_the_real_model_is_smaller_and_makes_sense(default_model: Path) -> None:
    plain = load_base("default", device="cpu", dtype="bfloat16", cache=default_model)
    base = load_base(
        "default", device="cpu", dtype="bfloat16", quantization="bnb-4bit", cache=default_model
    )
    assert base.memory_bytes < 0.65 * plain.memory_bytes
    assert base.identity.weights_sha256 == plain.identity.weights_sha256
    prompt = base.tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    tokens = base.model.generate(**prompt, max_new_tokens=12, do_sample=False)
    answer = base.tokenizer.decode(tokens[0, prompt["input_ids"].shape[1] :])
    assert "Paris" in answer
