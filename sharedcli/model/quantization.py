"""Weights in four or eight bits through bitsandbytes, which also works on CPUs."""

from __future__ import annotations

import importlib.util
import logging
from typing import Any

import torch

from sharedcli.errors import UsageError
from sharedcli.setting_values import debugging

QUANTIZATIONS = ("bnb-4bit", "bnb-8bit")


def resolve_quantization(spec: str | None, device: torch.device) -> str | None:
    """Check the value of ``--quantization``; None and "none" mean the weights as they are.

    Raises:
        UsageError: unknown, not installed, or not for this device.
    """
    if spec is None or spec.strip().lower() in ("", "none"):
        return None
    name = spec.strip().lower()
    if name not in QUANTIZATIONS:
        raise UsageError(f"--quantization {spec} is unknown; use bnb-4bit or bnb-8bit")
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"--quantization {name} does not run on {device}; use --device cpu")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise UsageError(
            f"--quantization {name} needs the package bitsandbytes; pip install 'sharedcli[bnb]'"
        )
    return name


def quantization_config(name: str | None, dtype: torch.dtype) -> Any:
    """The ``BitsAndBytesConfig`` for a resolved name; None for no quantisation.

    NF4 with double quantisation for four bits (QLoRA, arXiv 2305.14314), LLM.int8 for eight
    (arXiv 2208.07339).
    """
    if name is None:
        return None
    from transformers import BitsAndBytesConfig

    if not debugging():
        # it logs a warning for every matrix product in eight bits
        logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    if name == "bnb-8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
