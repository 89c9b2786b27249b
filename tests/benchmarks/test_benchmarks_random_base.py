"""Random weights of published sizes: the right sizes, seeded, refused where they do not fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sharedcli.benchmarks import random_base
from sharedcli.benchmarks.plan import Plan
from sharedcli.benchmarks.published import PUBLISHED, check_random, is_random
from sharedcli.benchmarks.random_base import load_random
from sharedcli.errors import OutOfMemoryError, UsageError

MakePlan = Callable[..., Plan]

PARAMETERS = {  # as the models' own files hold them, a tied head counted once
    "smollm2-135m": 134_515_008,
    "smollm2-1.7b": 1_711_376_384,
    "qwen3-0.6b": 596_049_920,
    "qwen3-8b": 8_190_735_360,
    "llama-3.2-1b": 1_235_814_400,
    "llama-3.2-3b": 3_212_749_824,
    "llama-3.1-8b": 8_030_261_248,
    "llama-3-8b": 8_030_261_248,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes(name: str) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    values = dict(PUBLISHED[name])
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(
            AutoConfig.for_model(values.pop("model_type"), **values)
        )
    assert model.num_parameters() == PARAMETERS[name]


def test_weights_of_a_folder_are_drawn_anew(
    make_plan: MakePlan, tiny_folder: Callable[[str], Path]
) -> None:
    settings = make_plan(model=f"random:{tiny_folder('llama')}").settings
    first, same = load_random(settings), load_random(settings)
    other = load_random(replace(settings, seed=1))
    weights = [one.base.model.model.layers[0].mlp.up_proj.weight for one in (first, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert weights[0].std() == pytest.approx(0.02, rel=0.1)
    assert first.base.identity == same.base.identity
    assert first.base.identity != other.base.identity
    assert first.adapter_name == "none"
    logits = first.shared(torch.arange(5)[None])
    assert bool(torch.isfinite(logits).all())


def test_tied_weights_stay_tied(
    make_plan: MakePlan, tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    import json
    import shutil

    folder = tmp_path / "tied"
    shutil.copytree(tiny_folder("llama"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": True}))
    base = load_random(make_plan(model=f"random:{folder}").settings).base.model
    assert base.lm_head.weight is base.model.embed_tokens.weight


def test_what_is_refused(
    make_plan: MakePlan, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_random("random:x")
    assert not is_random("default")
    with pytest.raises(UsageError, match="there is no configuration 'gpt-9'"):
        check_random("random:gpt-9")
    settings = make_plan(model=f"random:{tiny_folder('llama')}").settings
    with pytest.raises(UsageError, match="not quantised"):
        load_random(replace(settings, quantization="bnb-4bit"))
    monkeypatch.setattr(random_base, "available_bytes", lambda _device: 1000)
    with pytest.raises(OutOfMemoryError, match="random weights need"):
        load_random(settings)
