"""Attention in bfloat16 on x86 CPUs without matrix units: blocks of queries, batched products.

There torch's own kernel multiplies by MKL, which converts bfloat16 to float32 first and, on
processors that are not Intel's, does without AVX-512; a batched product goes to oneDNN, which uses
the bfloat16 instructions. Measured, three times as fast (docs/reference/performance-notes.md).

Scores are rounded to bfloat16 before the softmax, which torch's kernel does not do; what comes out
of all layers is no further from float32 for it. Everywhere else, and with gradient, torch's kernel
runs.

Shapes: B sequences, H query heads, K key/value heads, T queries, S keys, D head size. Query head h
reads key/value head h // (H / K).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from sharedcli.model.devices import has_matrix_units

ROWS = 128
"""Queries of a block at most."""
_FEW_ROWS = 16
_LARGE = 2.0**100
"""Sums of exponentials up to it, and down to its inverse, have lost nothing."""
_SCORES = 1 << 22
"""Scores of a block, unless it has few rows: they stay in the processor's cache."""


def is_served(query: Tensor) -> bool:
    """Whether attention is computed in blocks for queries of this kind."""
    return (
        query.dtype == torch.bfloat16
        and query.device.type == "cpu"
        and not torch.is_grad_enabled()
        and _is_faster()
    )


@cache
def _is_faster() -> bool:
    multiplies_bfloat16: bool = getattr(torch.cpu, "_is_avx512_bf16_supported", bool)()
    return torch.backends.mkldnn.is_available() and multiplies_bfloat16 and not has_matrix_units()


def causal(
    query: Tensor, keys: Tensor, values: Tensor, *, before: int = 0, scale: float | None = None
) -> Tensor:
    """Attention's results [B, H, T, D]; query i sees the first ``before`` + i + 1 keys.

    Args:
        query: [B, H, T, D].
        keys, values: [B, K, S, D] with S >= ``before`` + T.
        before: keys that all queries see.
        scale: of scores; None for one over the square root of D.
    """
    if is_served(query):
        return _in_blocks(query, keys, values, scale, before=before)
    end = before + query.shape[2]
    # The kernel expects as many queries as keys: empty ones, which cost little, since each sees
    # only the keys before it.
    padded = functional.pad(query, (0, 0, before, 0)) if before else query
    grouped = query.shape[1] != keys.shape[1]
    read = functional.scaled_dot_product_attention(
        padded,
        keys[:, :, :end],
        values[:, :, :end],
        is_causal=True,
        scale=scale,
        enable_gqa=grouped,
    )
    return read[:, :, before:] if before else read


def masked(
    query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, *, scale: float | None = None
) -> Tensor:
    """Attention's results [B, H, T, D] with a mask as ``scaled_dot_product_attention`` takes it.

    Args:
        query: [B, H, T, D].
        keys, values: [B, K, S, D].
        mask: true where a key is seen, or added to scores; None if all is seen.
        scale: as in ``causal``.
    """
    if is_served(query):
        return _in_blocks(query, keys, values, scale, mask=mask)
    return functional.scaled_dot_product_attention(
        query,
        keys,
        values,
        attn_mask=mask,
        scale=scale,
        enable_gqa=query.shape[1] != keys.shape[1],
    )


def _in_blocks(  # noqa: PLR0917 - the parts of attention
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    scale: float | None,
    before: int | None = None,
    mask: Tensor | None = None,
    softmax: _Softmax | None = None,
) -> Tensor:
    batch, heads, length, size = query.shape
    groups = keys.shape[1]
    columns, rows = keys.flatten(0, 1), values.flatten(0, 1)
    softmax = softmax or _Unshifted()
    factor = softmax.unit * (size**-0.5 if scale is None else scale)
    nothing = query.new_zeros(1, 1, 1)
    made = query.new_empty(batch, length, heads, size)
    later = query.new_full((ROWS, ROWS), float("-inf")).triu_(1)
    for start, end in _blocks(length, _SCORES // max(1, batch * heads * keys.shape[2])):
        seen = keys.shape[2] if before is None else before + end
        # heads that share keys are rows of one product
        asked = query[:, :, start:end].reshape(batch * groups, -1, size)
        # a copy of rows is cheaper than one that the product makes of columns with gaps
        turned = columns[:, :seen].contiguous().transpose(1, 2)
        scores = torch.baddbmm(nothing, asked, turned, beta=0, alpha=factor)
        by_head = scores.view(batch, heads, end - start, seen)
        if before is not None:
            by_head[..., before + start :].add_(later[: end - start, : end - start])
        elif mask is not None:
            part = mask if mask.dim() < 2 or mask.shape[-2] == 1 else mask[..., start:end, :]
            _apply(by_head, part, softmax.unit)
        read = softmax.read(scores, rows[:, :seen])
        made[:, start:end] = read.view(batch, heads, end - start, size).transpose(1, 2)
    if not softmax.holds():
        return _in_blocks(query, keys, values, scale, before, mask, _Softmax())
    return made.transpose(1, 2)


class _Softmax:
    """Softmax by torch's kernel. ``unit``: what scores are to be multiplied by."""

    unit = 1.0

    def read(self, scores: Tensor, values: Tensor) -> Tensor:
        """[..., T, S] and [..., S, D] to [..., T, D]; the scores are used up."""
        return torch.bmm(scores.softmax(-1), values)

    def holds(self) -> bool:
        """Whether all that was read is right."""
        return True


class _Unshifted(_Softmax):
    """Softmax without taking the largest score from the others first, in half the time.

    That serves to keep exponentials within the numbers. Scores of real models stay there by
    themselves; whether they did shows in the sums.
    """

    unit = math.log2(math.e)  # powers of two are faster

    def __init__(self) -> None:
        self._sums: list[Tensor] = []

    def read(self, scores: Tensor, values: Tensor) -> Tensor:
        powers = scores.exp2_()
        sums = powers.sum(-1, keepdim=True)
        self._sums.append(sums.flatten())
        return torch.bmm(powers, values).div_(sums)

    def holds(self) -> bool:
        if not self._sums:  # there were no queries
            return True
        low, high = torch.aminmax(torch.cat(self._sums))
        return float(low) > 1 / _LARGE and float(high) < _LARGE


def _blocks(length: int, wanted: int) -> Iterator[tuple[int, int]]:
    rows = max(_FEW_ROWS, min(ROWS, wanted))
    for start in range(0, length, rows):
        yield start, min(start + rows, length)


def _apply(scores: Tensor, mask: Tensor, unit: float) -> None:
    """Hide what ``mask`` hides; a query that sees nothing stays finite, as in torch's kernel."""
    if mask.dtype == torch.bool:
        lowest = torch.finfo(scores.dtype).min
        mask = scores.new_zeros(mask.shape).masked_fill_(~mask, lowest)  # small; adding is fast
    scores.add_(mask.to(scores.dtype), alpha=unit)
