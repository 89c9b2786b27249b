"""What a slot format costs: how far the default moves what the real model says, in nats."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sharedcli.engine.loading import load_model
from sharedcli.model.tokens import tokenize_text
from sharedcli.settings import Settings
from sharedcli.store.quantize import decode, encode
from sharedcli.tree.context_tree import ContextTree
from sharedcli.tree.frontier import fixed_path

ALLOWED_NATS = 0.01


def _stored(slots: Tensor, slot_format: str) -> Tensor:
    return decode(encode(slots, slot_format)).to(slots.dtype)


@pytest.mark.default_model
def test_the_default_format_stays_close_to_exact_slots(default_model: Path) -> None:
    settings = Settings(cache=default_model, offline=True, device="cpu")
    model = load_model(settings)
    text = files("sharedcli.samples").joinpath("halvard-ridge.txt").read_text(encoding="utf-8")
    ids = torch.from_numpy(tokenize_text(model.base.tokenizer, text)[0].astype("int64"))
    context, running = ids[:1024], ids[None, 1024:1280]
    tree = ContextTree(len(context), model.geometry(settings).stored)
    paths = [fixed_path(tree, chunk) for chunk in range(tree.chunks)]
    with torch.inference_mode():
        slots = model.compressor.compress_frontiers([context], [tree], [paths])

        def read(slot_format: str | None) -> Tensor:
            kept = slots
            if slot_format:
                kept = replace(
                    slots,
                    keys=_stored(slots.keys, slot_format),
                    values=_stored(slots.values, slot_format),
                )
            return model.shared(running, model.shared.prepare(kept)).float().log_softmax(-1)

        exact = read(None)

        def divergence(slot_format: str) -> float:
            return float((exact.exp() * (exact - read(slot_format))).sum(-1).mean())

        chosen = settings.slot_format
        assert 0 < divergence(chosen) < ALLOWED_NATS
        assert divergence("int8") < divergence("int4")
