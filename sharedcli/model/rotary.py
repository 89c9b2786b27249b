"""Rotary position embedding of keys and queries at freely chosen positions.

The compressor's keys arrive rotated to their place in the node; the injection wants them at the
place that the key position mode names. Since R(a)R(b) = R(a + b), one rotation by the difference
does it. Angles are computed in float32, whatever the model's dtype.

Scaled variants (YaRN, longrope) multiply keys and queries by a factor once; what is rotated again
here carries it already, so these rotations are pure. Variants whose frequencies change with the
length (dynamic, longrope) are taken at their original frequencies, which the base itself uses as
long as it stays within its window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rotary:
    """The base's rotation: ``inverse_frequencies`` of shape [R/2], R <= D rotated dimensions."""

    inverse_frequencies: Tensor
    scaling: float = 1.0

    @classmethod
    def of(cls, backbone: Any) -> Rotary:
        """Read the rotation of a Llama-style backbone (its ``rotary_emb``)."""
        embedding = backbone.rotary_emb
        # Dynamic variants change ``inv_freq`` with the length read; the original stays.
        frequencies = getattr(embedding, "original_inv_freq", None)
        if frequencies is None:
            frequencies = embedding.inv_freq
        assert isinstance(frequencies, Tensor)
        return cls(
            frequencies.detach().float(), float(getattr(embedding, "attention_scaling", 1.0))
        )

    def angles(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosine and sine, each [..., R], for integer or real ``positions`` [...]."""
        frequencies = self.inverse_frequencies.to(positions.device)
        angle = positions.float()[..., None] * frequencies
        angle = torch.cat((angle, angle), dim=-1)
        return angle.cos(), angle.sin()

    def query_angles(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Like ``angles``, times the factor of scaled variants, for queries fresh from W_q."""
        cosine, sine = self.angles(positions)
        return cosine * self.scaling, sine * self.scaling

    def rotate(self, states: Tensor, positions: Tensor) -> Tensor:
        """Rotate ``states`` [..., T, D] to ``positions``, broadcastable to [..., T]."""
        cosine, sine = self.angles(positions)
        rotated = apply_rotation(states.to(_working_dtype(states)), cosine, sine)
        return rotated.to(states.dtype)

    def unrotate(self, states: Tensor, positions: Tensor) -> Tensor:
        """Undo ``rotate``: bring keys back to position 0."""
        return self.rotate(states, -positions)


def _working_dtype(states: Tensor) -> torch.dtype:
    return torch.float64 if states.dtype == torch.float64 else torch.float32


def apply_rotation(states: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotate the first R of D dimensions of ``states`` [..., T, D] (half-split layout)."""
    rotated_dims = cosine.shape[-1]
    turning, still = states[..., :rotated_dims], states[..., rotated_dims:]
    first, second = turning.chunk(2, dim=-1)
    turned = turning * cosine + torch.cat((-second, first), dim=-1) * sine
    return torch.cat((turned, still), dim=-1) if still.shape[-1] else turned
