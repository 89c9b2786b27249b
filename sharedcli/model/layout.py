"""Is this a Llama-style base? Asked of its modules, and of its numbers, not of its name.

SharedLLM (arXiv 2410.19318, section 3) reads keys and values of each layer and adds to the
residual stream between self-attention and MLP. That presumes ``model.model.layers[i]`` with
separate q, k, v and o projections and the order

    h = h + self_attn(input_layernorm(h));  h = h + mlp(post_attention_layernorm(h))

Notable choices:
- ``check_modules`` needs no weights, so it runs on a model built on the meta device, before
  gigabytes are read.
- ``check_residual`` runs one layer on three tokens: families with the same module names but scaled
  residuals or scaled embeddings (Granite, Gemma) are found by their numbers.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn

from sharedcli.errors import UsageError

_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj")
_LAYER = {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"}
_OF_THE_DEVICE = re.compile(r"CUDA|cuBLAS|\bHIP\b|MPS|out of memory|flash", re.IGNORECASE)
"""Told in errors that come of the device, not of the model."""


class _ReachedFirstLayer(Exception):
    """Ends a forward pass when the inputs of the first layer are known."""


def check_modules(model: nn.Module, model_id: str) -> None:
    """Refuse a model whose decoder layers are not built like Llama's.

    Raises:
        UsageError: one sentence with the first difference.
    """
    backbone = getattr(model, "model", None)
    layers = getattr(backbone, "layers", None)
    if not isinstance(layers, nn.ModuleList) or len(layers) == 0:
        raise _refusal(model, model_id, "it has no model.layers")
    for name in ("embed_tokens", "norm", "rotary_emb"):
        if not isinstance(getattr(backbone, name, None), nn.Module):
            raise _refusal(model, model_id, f"it has no model.{name}")
    for number, layer in enumerate(layers):
        parts = {name for name, _ in layer.named_children()}
        if missing := _LAYER - parts:
            raise _refusal(model, model_id, f"layer {number} has no {min(missing)}")
        if extra := parts - _LAYER:
            raise _refusal(model, model_id, f"layer {number} also has {min(extra)}")
        for name in _PROJECTIONS:
            if not hasattr(layer.self_attn, name):
                raise _refusal(model, model_id, f"layer {number} has no self_attn.{name}")


@torch.inference_mode()
def check_residual(model: nn.Module, model_id: str, device: torch.device) -> None:
    """Refuse a loaded model whose first layer does not add up as Llama's does.

    Raises:
        UsageError: one sentence with the difference.
    """
    backbone: Any = model.model
    tokens = torch.tensor([[1, 2, 3]], device=device)
    hidden, options = _first_inputs(backbone, tokens)
    layer = backbone.layers[0]
    if not _close(hidden, backbone.embed_tokens(tokens)):
        raise _refusal(model, model_id, "its embeddings are scaled before the first layer")
    try:
        state = hidden + layer.self_attn(layer.input_layernorm(hidden), **options)[0]
        expected = state + layer.mlp(layer.post_attention_layernorm(state))
    except (TypeError, RuntimeError, AttributeError) as error:
        if _OF_THE_DEVICE.search(str(error)) or isinstance(error, torch.OutOfMemoryError):
            raise  # these layers are not to blame
        raise _refusal(model, model_id, "its layers cannot be run step by step") from error
    actual = layer(hidden, **options)
    if not _close(actual[0] if isinstance(actual, tuple) else actual, expected):
        raise _refusal(model, model_id, "its layers do not add attention and MLP one by one")


def _first_inputs(backbone: Any, tokens: torch.Tensor) -> tuple[torch.Tensor, dict[str, Any]]:
    """Hidden states (1, 3, hidden) and keyword arguments that reach the first layer."""
    seen: list[tuple[torch.Tensor, dict[str, Any]]] = []

    def stop(_module: nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        options = dict(options)
        hidden = args[0] if args else options.pop("hidden_states")
        seen.append((hidden, options))
        raise _ReachedFirstLayer

    handle = backbone.layers[0].register_forward_pre_hook(stop, with_kwargs=True)
    try:
        backbone(tokens, use_cache=False)
    except _ReachedFirstLayer:
        pass
    finally:
        handle.remove()
    return seen[0]


def _close(left: torch.Tensor, right: torch.Tensor) -> bool:
    if left.shape != right.shape:
        return False
    return bool(torch.allclose(left.float(), right.float(), rtol=0.05, atol=1e-3))


def _refusal(model: nn.Module, model_id: str, difference: str) -> UsageError:
    kind = getattr(getattr(model, "config", None), "model_type", type(model).__name__)
    return UsageError(
        f"{model_id} ({kind}) is not a Llama-style model: {difference}; "
        "use a Llama, Mistral, Qwen2, Qwen3 or SmolLM model"
    )
