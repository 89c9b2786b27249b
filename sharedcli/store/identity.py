"""Who made a tree: everything that must agree before stored slots may be injected.

Slots made by another model, adapter, tokenizer, dtype or geometry would be read without an error
and answer nonsense; so each document names the identity that made it, by digest, and any field that
differs is refused by name; but for how slots are written, which every tree says of itself, and
whether there are vectors, since those that are missing are made when a question comes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

from sharedcli.store.digests import digest

TREE_FORMAT_VERSION = 1
"""Version of what the tensors mean (names, axes, order of slots)."""

RECOMPUTE = "recompute"
"""No slots are kept: those that a question opens are made from the stored tokens."""
SLOT_FORMATS = ("bfloat16", "float16", "float32", "int8", "int4", RECOMPUTE)
"""How key and value slots can be written."""

_EQUAL = (
    *(f"geometry.{name}" for name in ("strip_chunks", "exit_layer", "pruning_layer")),
    "compressor",
)
"""What is a matter of time, hardly of what slots are worth: how chunks were read."""

NO_ENCODER = "none"
"""In place of an encoder: passages have no vectors."""


@dataclass(frozen=True)
class TreeIdentity:
    """The makers of a context tree.

    Attributes:
        model: id or path of the base model, as the user names it.
        weights: revision, or sha256 of the base weights.
        tokenizer: sha256 of the tokenizer.
        adapter: sha256 of the adapter, or "none".
        dtype: dtype that the compressor ran in.
        quantization: of the base weights ("none", "bnb-4bit", ...).
        injected_layers: M, the number of lowest layers that slots are made for.
        geometry: ``TreeGeometry.to_dict()``.
        slot_format: one of ``SLOT_FORMATS``.
        key_position: how positions are kept in stored keys.
        passage_encoder: what made the passage vectors, or "none".
        compressor: how the adapter's updates were applied: "hooks", added to each layer's output,
            "merged" into the weights, or "merged-int8", products in eight bits besides; slots are
            worth the same. "hooks" is not written out: identities from before there was a choice
            keep their digest.
        format_version: meaning of the tensors, ``TREE_FORMAT_VERSION``.
    """

    model: str
    weights: str
    tokenizer: str
    dtype: str
    injected_layers: int
    geometry: Mapping[str, int | str]
    slot_format: str
    key_position: str
    adapter: str = "none"
    quantization: str = "none"
    passage_encoder: str = NO_ENCODER
    compressor: str = "hooks"
    format_version: int = TREE_FORMAT_VERSION

    def __post_init__(self) -> None:
        if self.slot_format not in SLOT_FORMATS:
            raise ValueError(f"slot format {self.slot_format!r} is none of {SLOT_FORMATS}")

    def __hash__(self) -> int:
        return hash(self.digest)

    @cached_property
    def digest(self) -> str:
        """Hex SHA-256 of all fields; equal exactly for equal identities."""
        return digest("identity", self.to_json())

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces, ASCII."""
        values = asdict(self) | {"geometry": dict(self.geometry)}
        if self.compressor == "hooks":
            del values["compressor"]
        return json.dumps(values, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> TreeIdentity:
        """Read what ``to_json`` wrote; ``ValueError`` or ``TypeError`` if it is not that."""
        return cls(**json.loads(text))

    def obstacles(self, reader: TreeIdentity) -> list[tuple[str, Any, Any]]:
        """List what keeps ``reader`` from reading a tree of this identity, as ``differences``."""
        harmless = {"slot_format", *_EQUAL}
        if NO_ENCODER in (self.passage_encoder, reader.passage_encoder):
            harmless.add("passage_encoder")
        return [one for one in self.differences(reader) if one[0] not in harmless]

    def serves(self, other: TreeIdentity) -> bool:
        """Whether a tree of this identity need not be made anew for ``other``."""
        return all(name in _EQUAL for name, _, _ in self.differences(other))

    def differences(self, other: TreeIdentity) -> list[tuple[str, Any, Any]]:
        """List ``(field, own value, other's value)`` for all that differ, geometry by entry."""
        found: list[tuple[str, Any, Any]] = []
        for item in fields(self):
            own, others = getattr(self, item.name), getattr(other, item.name)
            if item.name != "geometry":
                found += [(item.name, own, others)] if own != others else []
                continue
            for name in sorted({*own, *others}):
                if own.get(name) != others.get(name):
                    found.append((f"geometry.{name}", own.get(name), others.get(name)))
        return found
