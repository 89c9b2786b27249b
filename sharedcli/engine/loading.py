"""Load what a command needs: base, adapter, both roles, and the identity of the trees they make.

Which adapter: the one that ``--adapter`` names; else the one that ships in the package if it was
made for exactly these base weights; else an untrained one, with which nothing is injected unless
asked for.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import cached_property
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

from sharedcli.errors import UsageError
from sharedcli.model.adapter import Adapter, load_adapter
from sharedcli.model.adapter_config import AdapterConfig
from sharedcli.model.base import Base, load_base
from sharedcli.model.compressor import Compressor
from sharedcli.model.devices import guard_memory
from sharedcli.model.eight_bits import EightBitWeights, has_eight_bit_products, is_worth_it
from sharedcli.model.merged import MergedLayers, is_mergeable
from sharedcli.model.sharedllm import SharedLLM
from sharedcli.model.sliding_window import seen_at_once
from sharedcli.paths import home_path
from sharedcli.settings import Settings
from sharedcli.store.identity import RECOMPUTE, TreeIdentity
from sharedcli.tree.geometry import TreeGeometry

if TYPE_CHECKING:
    from sharedcli.model.fetch import OnStep

NO_ADAPTER = "none"
GEOMETRY = tuple(item.name for item in fields(TreeGeometry))
_KEPT_ONLY = ("exit_layer", "pruning_layer")
"""Settings that change the adapter's geometry."""
STRIP_CHUNKS = 8
"""Read in one pass: with half a chunk for a lead, 1.03 to 1.06 tokens for one of the document."""
_LAID_OUT_BYTES = 512 << 20
"""Of layers that are kept to save each question a quarter of a second, at most."""
KEYS_STORED = "unrotated"
"""Stored keys carry no position; they are rotated to their places when injected."""


@dataclass(frozen=True)
class LoadedModel:
    """One base in both roles, and who it is.

    Attributes:
        base: weights and tokenizer.
        shared: the base with its adapter attached.
        adapter_name: "default", a folder, or "none".
        adapter_sha256: its digest, or "none".
        index_weights: "auto", "int8" or "plain", how indexing reads the weights.
    """

    base: Base
    shared: SharedLLM
    adapter_name: str
    adapter_sha256: str
    index_weights: str = "auto"

    @property
    def compressor(self) -> Compressor:
        """The compressor role, as it is trained."""
        return Compressor(self.shared)

    @cached_property
    def indexer(self) -> Compressor:
        """The compressor role for indexing, the fastest that this base allows; see ``merges``."""
        if not self.merges:
            return Compressor(self.shared)
        weights = EightBitWeights(self.base.config.hidden_size) if self.in_eight_bits else None
        return Compressor(self.shared, merged=MergedLayers(self.shared, weights=weights))

    @property
    def opener(self) -> Compressor:
        """The compressor role for a few chunks: ``indexer`` if its layers are laid out already.

        Else it lays out each layer when it is reached, and keeps no copy of weights.
        """
        return self.indexer if "indexer" in self.__dict__ else self._passing

    @cached_property
    def _passing(self) -> Compressor:
        merged = MergedLayers(self.shared, kept=False) if self.merges else None
        return Compressor(self.shared, merged=merged)

    def lay_out(self) -> None:
        """Keep the layers that ``opener`` needs, for several questions, unless they are large."""
        layers = list(self.base.model.model.layers)[: self.shared.injected_layers]
        numbers = sum(weight.numel() for layer in layers for weight in layer.parameters())
        with suppress(UsageError):  # how an index is made concerns no question
            size = 1 if self.in_eight_bits else self.base.dtype.itemsize
            if self.merges and numbers * size <= _LAID_OUT_BYTES:
                _ = self.indexer

    @cached_property
    def merges(self) -> bool:
        """Whether text is read through merged weights, and so in several threads at once."""
        return is_mergeable(self.shared)

    @cached_property
    def in_eight_bits(self) -> bool:
        """Whether indexing multiplies numbers of eight bits; ``UsageError`` if it cannot."""
        base = self.base
        possible = self.merges and has_eight_bit_products(base.device, base.dtype)
        if self.index_weights == "int8" and not possible:
            raise UsageError(
                "--index-weights int8 needs a CPU with VNNI instructions, --dtype bfloat16 or "
                "float32, and layers that can be merged; use auto"
            )
        if self.index_weights != "auto":
            return self.index_weights == "int8"
        return possible and is_worth_it(base.dtype, base.config.hidden_size)

    @property
    def trained(self) -> bool:
        """Whether injection can be expected to help."""
        return self.shared.config.trained

    def geometry(self, settings: Settings) -> TreeGeometry:
        """The adapter's geometry with what the settings change."""
        given = {name: value for name in GEOMETRY if (value := getattr(settings, name)) is not None}
        old = self.shared.config.geometry
        if "chunk_tokens" in given and "slots_per_node" not in given:
            # the ratio stays when the chunk size changes
            slots = round(old.slots_per_node * given["chunk_tokens"] / old.chunk_tokens)
            given["slots_per_node"] = max(1, slots)
        if "depth" in given and "stored_depth" not in given:
            given["stored_depth"] = old.stored_depth if old.stored_depth <= given["depth"] else 0
        kept_only = {name: given.pop(name) for name in _KEPT_ONLY if name in given}
        geometry = replace(old, **(given | dict.fromkeys(_KEPT_ONLY, 0)))
        if given.get("strip_chunks", 1) > 1 and not self.merges:
            raise UsageError("this model's chunks are read one by one; leave --strip-chunks out")
        if any(kept_only.values()) and not self.merges:
            raise UsageError(
                "this model's layers read all tokens; leave --exit-layer and --pruning-layer out"
            )
        if self.merges and geometry.slots_are_tokens:
            kept_only = {name: getattr(old, name) for name in _KEPT_ONLY} | kept_only
        geometry = replace(geometry, **kept_only)
        if "strip_chunks" not in given:
            geometry = replace(geometry, strip_chunks=self._strip_chunks(geometry))
        if geometry.slot_choice == "pooled" and self.shared.adapter.pool_query is None:
            raise UsageError(
                "there is no adapter that has learned to pool slots (--slot-choice pooled); use "
                "first, last or mean, or train an adapter with it"
            )
        if geometry.strip_chunks > 1 and geometry.strip_tokens > self.base.window:
            raise UsageError(
                f"strips of {geometry.strip_chunks} chunks are {geometry.strip_tokens} tokens long "
                f"and exceed the model's window of {self.base.window}; use a smaller --strip-chunks"
            )
        if (read := geometry.read_tokens) > self.base.window:
            lead = f" and {geometry.lead_tokens} before them" if geometry.lead_tokens else ""
            raise UsageError(
                f"chunks of {geometry.chunk_tokens} tokens{lead} exceed the model's window of "
                f"{self.base.window}; use --chunk-tokens "
                f"{geometry.chunk_tokens + self.base.window - read} or less"
            )
        return geometry

    def _strip_chunks(self, geometry: TreeGeometry) -> int:
        """As many as are worth it and may be read at once."""
        if not self.merges or geometry.levels == "per_node" or not geometry.lead_tokens:
            return 1
        seen = seen_at_once(self.base.model, self.shared.injected_layers) or self.base.window
        room = min(seen, self.base.window) - geometry.lead_tokens
        return max(1, min(STRIP_CHUNKS, room // geometry.chunk_tokens))

    def tree_identity(self, settings: Settings, encoder: str) -> TreeIdentity:
        """Who trees are made by under ``settings``; ``encoder`` names the passage vectors."""
        identity = self.base.identity
        return TreeIdentity(
            model=identity.model_id,
            weights=identity.weights_sha256,
            tokenizer=identity.tokenizer_sha256,
            dtype=identity.dtype,
            injected_layers=self.shared.injected_layers,
            geometry=self.geometry(settings).to_dict(),
            slot_format=settings.slot_format,
            key_position=KEYS_STORED,
            adapter=self.shared.adapter.config.trees or self.adapter_sha256,
            quantization=identity.quantization or "none",
            passage_encoder=encoder,
            compressor=self.reading if settings.slot_format != RECOMPUTE else "hooks",
        )

    @property
    def reading(self) -> str:
        """How indexing reads text; see ``TreeIdentity.compressor``."""
        if not self.merges:
            return "hooks"
        return "merged-int8" if self.in_eight_bits else "merged"


def load_model(settings: Settings, on_step: OnStep | None = None) -> LoadedModel:
    """Load the model that the settings name. Errors are ``load_base``'s and ``load_adapter``'s."""
    base = load_base(
        settings.model,
        device=settings.device,
        dtype=settings.dtype,
        attn_implementation=settings.attn_implementation,
        quantization=settings.quantization,
        revision=settings.revision,
        offline=settings.offline,
        cache=settings.cache,
        on_step=on_step,
    )
    adapter, name = read_adapter(settings, base)
    digest = NO_ADAPTER if name == NO_ADAPTER else adapter.digest()
    adapter.to(base.dtype)  # after its digest: that is of the adapter as it is on disk
    with guard_memory("loading the adapter"):
        shared = SharedLLM(base.model, adapter)
    return LoadedModel(base, shared, name, digest, settings.index_weights)


def read_adapter(settings: Settings, base: Base) -> tuple[Adapter, str]:
    """The adapter that the settings name, as it is on disk, and what to call it."""
    if settings.adapter is None:
        shipped = _shipped(base)
        return (shipped, "default") if shipped else (untrained_adapter(base), NO_ADAPTER)
    if settings.adapter == NO_ADAPTER:
        return untrained_adapter(base), NO_ADAPTER
    return load_adapter(home_path(settings.adapter), base.model), settings.adapter


def _shipped(base: Base) -> Adapter | None:
    """The packaged adapter that was trained on exactly these weights, if there is one."""
    for entry in files("sharedcli.weights").iterdir():
        config = entry / "adapter.json"
        if not config.is_file():
            continue
        made_for = json.loads(config.read_text(encoding="utf-8"))["base"].get("weights_sha256")
        if made_for == base.identity.weights_sha256:
            with as_file(entry) as folder:
                return load_adapter(folder, base.model)
    return None


def untrained_adapter(base: Base) -> Adapter:
    """Return a zero-gated adapter in the paper's form, over two fifths of the layers."""
    config = AdapterConfig(form="cross", injected_layers=max(1, base.layers * 2 // 5))
    if config.geometry.chunk_tokens > base.window:
        geometry = TreeGeometry.for_ratio(8, chunk_tokens=1 << (base.window.bit_length() - 2))
        config = replace(config, geometry=geometry)
    return Adapter(config, base.model)
