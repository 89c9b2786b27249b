"""Load a model folder that this package wrote itself, without the general loader.

``AutoModelForCausalLM.from_pretrained`` handles old names, shards, devices and quantisation; to do
so it builds the model on the meta device, whose first operations import torch's compiler front
end: more seconds than the weights need. A folder made by ``convert`` needs none of that: its
tensors are mapped into memory under the names that the model class has. The classes are still
those of ``transformers``, and the result is equal to the general loader's, bit for bit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from sharedcli.errors import CorruptionError


def load_directly(folder: Path, dtype: torch.dtype, attn_implementation: str) -> Any:
    """The causal language model in ``folder``, on the CPU.

    Args:
        folder: written by ``convert``: one model.safetensors with the class's own names.
        dtype: what the tensors are cast to; mapped without a copy where they have it already.
        attn_implementation: resolved name.

    Raises:
        CorruptionError: tensors are missing, or there are others than the model has.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig
    from transformers.initialization import no_init_weights

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    with no_init_weights():
        model: Any = AutoModelForCausalLM.from_config(
            config, dtype=dtype, attn_implementation=attn_implementation
        )
    tensors = {
        name: value.to(dtype) for name, value in load_file(folder / "model.safetensors").items()
    }
    result = model.load_state_dict(tensors, strict=False, assign=True)
    model.tie_weights()
    missing = set(result.missing_keys) - set(getattr(model, "all_tied_weights_keys", ()))
    if missing or result.unexpected_keys:
        wrong = sorted(missing or result.unexpected_keys)[0]
        raise CorruptionError(
            f"{folder} does not hold this model (tensor {wrong}); delete that folder and give the "
            "command again"
        )
    model.generation_config = GenerationConfig.from_pretrained(folder, local_files_only=True)
    return model
