"""Adapters on disk: what is saved comes back, and what makes no sense is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from shared_samples import GEOMETRY, attached, compress, ids, small_base, use

from sharedcli.errors import ModelMismatchError, UnreadableError, UsageError
from sharedcli.model.adapter import Adapter, load_adapter
from sharedcli.model.adapter_config import AdapterConfig
from sharedcli.model.sharedllm import SharedLLM
from sharedcli.tree.geometry import TreeGeometry

FULL: dict[str, Any] = {
    "injected_layers": 2,
    "compressor_rank": 2,
    "decoder_rank": 3,
    "slot_bias": True,
    "geometry": replace(GEOMETRY, slot_choice="pooled"),
    "steps": 7,
}


def made(base: Any, **config: Any) -> Adapter:
    adapter = Adapter(AdapterConfig(**{**FULL, **config}), base)
    use(adapter)
    return adapter


@pytest.mark.parametrize("form", ["joint", "cross"])
@pytest.mark.parametrize("architecture", ["Llama", "Qwen2", "Qwen3"])
def test_a_saved_adapter_comes_back_to_the_bit(
    tmp_path: Path, architecture: str, form: Any
) -> None:
    base, logits = small_base(architecture), []
    adapter = made(base, form=form)
    adapter.save(tmp_path / "a" / "b")
    loaded = load_adapter(tmp_path / "a" / "b", base)
    assert loaded.config == adapter.config
    assert loaded.config.trained
    assert loaded.digest() == adapter.digest()
    for one in (adapter, loaded):
        model = SharedLLM(base, one)
        logits.append(model(ids(9)[None], model.prepare(compress(model, ids(40)))))
        model.detach_hooks()
    assert torch.equal(*logits)
    assert {path.name for path in (tmp_path / "a" / "b").iterdir()} == {
        "adapter.json",
        "adapter.safetensors",
    }


def test_half_precision_on_disk_is_read_into_the_parameters_type(tmp_path: Path) -> None:
    base = small_base(dtype=torch.float32)
    adapter = made(base)
    adapter.save(tmp_path, torch.bfloat16)
    stored = load_file(tmp_path / "adapter.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.bfloat16}
    for name, tensor in load_adapter(tmp_path, base).state_dict().items():
        assert torch.equal(tensor, adapter.state_dict()[name].bfloat16().float())


def test_the_digest_tells_parameters_and_settings_apart() -> None:
    base = small_base(dtype=torch.float32)
    adapter, other = made(base), made(base, lora_alpha=16.0)
    other.load_state_dict(adapter.state_dict())
    assert adapter.digest() == adapter.digest() != other.digest()
    before = adapter.digest()
    with torch.no_grad():
        adapter.get_parameter("slot_bias")[0, 0] += 1
    assert adapter.digest() != before


def test_digests_of_adapters_without_parameters() -> None:
    base = small_base()
    empty = [Adapter(AdapterConfig(injected_layers=layers), base) for layers in (0, 1)]
    assert empty[0].digest() != empty[1].digest()
    none = AdapterConfig(injected_layers=0, slot_bias=True)
    assert Adapter(none, base).digest()


def test_settings_survive_their_text_form() -> None:
    config = AdapterConfig(**FULL, form="cross", key_position_mode="document", base={"layers": 3})
    assert AdapterConfig.from_json(config.to_json()) == config
    assert AdapterConfig.from_json("{}") == AdapterConfig()
    assert AdapterConfig.from_json('{"lora_alpha": 8}').lora_alpha == 8


HOSTILE = {
    "no object": "[1]",
    "no JSON": "{",
    "text for a number": '{"injected_layers": "12"}',
    "truth for a number": '{"steps": true}',
    "a fraction for a number": '{"compressor_rank": 1.5}',
    "no name": '{"form": null}',
    "an unknown form": '{"form": "sideways"}',
    "an unknown mode": '{"key_position_mode": ["chunk_only"]}',
    "an unknown key": '{"__class__": "os.system"}',
    "a list for a base": '{"base": []}',
    "a list for a geometry": '{"geometry": [1, 2]}',
    "text in a geometry": '{"geometry": {"chunk_tokens": "1024"}}',
    "an unknown key in a geometry": '{"geometry": {"width": 3}}',
    "an impossible geometry": '{"geometry": {"chunk_tokens": 1}}',
    "a newer format": '{"format": 2}',
    "a format of text": '{"format": "2"}',
    "a negative count": '{"injected_layers": -1}',
    "a rank that would fill memory": '{"decoder_rank": 1000000000}',
    "no number": '{"lora_alpha": NaN}',
    "infinity": '{"lora_alpha": 1e999}',
    "deep nesting": '{"base": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "too much text": '{"base": {"a": "' + "x" * (1 << 20) + '"}}',
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_settings_that_make_no_sense_are_refused_in_a_sentence(tmp_path: Path, text: str) -> None:
    base = small_base()
    made(base).save(tmp_path)
    (tmp_path / "adapter.json").write_text(text)
    with pytest.raises((UnreadableError, UsageError)) as caught:
        load_adapter(tmp_path, base)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "damage", ["missing", "cut", "not tensors", "shape", "name", "nan", "text"]
)
def test_damaged_files_are_refused(tmp_path: Path, damage: str) -> None:
    base = small_base(dtype=torch.float32)
    made(base).save(tmp_path)
    file = tmp_path / "adapter.safetensors"
    tensors = load_file(file)
    if damage == "missing":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-9])
    elif damage == "not tensors":
        file.write_bytes(b"\x80\x04pickle")
    elif damage == "text":
        (tmp_path / "adapter.json").write_bytes(b"\xff\xfe{")
    else:
        bias = tensors["slot_bias"]
        if damage == "shape":
            tensors["slot_bias"] = torch.zeros(1, 1)
        elif damage == "name":
            tensors["other"] = tensors.pop("slot_bias")
        else:
            tensors["slot_bias"] = torch.full_like(bias, torch.nan)
        save_file(tensors, file)
    with pytest.raises(UnreadableError):
        load_adapter(tmp_path, base)


def test_an_adapter_for_a_base_of_another_size_is_refused(tmp_path: Path) -> None:
    made(small_base()).save(tmp_path)
    with pytest.raises(ModelMismatchError, match="a base with hidden_size 32, this one has 64"):
        load_adapter(tmp_path, small_base(hidden_size=64))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"injected_layers": 4}, "cannot inject 4 layers into a base of 3; use 0 to 3"),
        ({"summary_layer": 4}, "after layer 4 do not exist in a base of 3 layers"),
        ({"form": "both"}, "form 'both' is unknown; use one of joint, cross"),
        ({"steps": -1}, "steps must be 0 or more, not -1"),
    ],
)
def test_impossible_settings_are_refused(config: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Adapter(AdapterConfig(**{"injected_layers": 2, **config}), small_base())


def test_a_geometry_is_part_of_the_settings() -> None:
    geometry = TreeGeometry(512, 2, 16, "nested", "mean")
    text = AdapterConfig(geometry=geometry).to_json()
    assert json.loads(text)["geometry"] == geometry.to_dict()
    assert AdapterConfig.from_json(text).geometry == geometry


def test_an_untrained_adapter_says_so() -> None:
    assert not AdapterConfig().trained
    with attached(small_base(), steps=1) as model:
        assert model.config.trained
