"""Slot formats: error bounds, exact packing, refusal of what cannot be held."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sharedcli.errors import SharedCLIError
from sharedcli.store.quantize import (
    GROUP,
    Encoded,
    code_shapes,
    decode,
    encode,
    pack_nibbles,
    unpack_nibbles,
)

LARGEST = {"int8": 127, "int4": 7}


@st.composite
def slots(draw: st.DrawFn) -> torch.Tensor:
    """Tensors [M, K, S, D] whose vectors differ in size by many orders, some of them zero."""
    shape = tuple(draw(st.integers(1, n)) for n in (2, 2, 3, 70))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    values = torch.randn(shape, generator=generator)
    # int4 holds 7 x 65,504: seven standard deviations of the largest
    exponents = torch.randint(-40, 17, (*shape[:-1], 1), generator=generator)
    kept = torch.rand((*shape[:-1], 1), generator=generator) > 0.1
    return values * torch.exp2(exponents.float()) * kept


def scale_of_each(encoded: Encoded, like: torch.Tensor) -> torch.Tensor:
    assert encoded.scales is not None
    scales = encoded.scales.float().unsqueeze(-1)
    if encoded.format == "int4":
        scales = scales.expand(*scales.shape[:-1], GROUP).flatten(-2)[..., : like.shape[-1]]
    return scales.expand_as(like)


@pytest.mark.parametrize("slot_format", LARGEST)
@given(values=slots())
@settings(max_examples=60)
def test_errors_are_at_most_half_a_scale(slot_format: str, values: torch.Tensor) -> None:
    encoded = encode(values, slot_format)
    decoded = decode(encoded)
    assert decoded.shape == values.shape
    scales = scale_of_each(encoded, values)
    assert ((decoded - values).abs() <= scales * (0.5 + 1e-6)).all()
    assert (decoded[values == 0] == 0).all()
    # The scale itself is no larger than it must be: one float16 step above the exact one.
    if slot_format == "int8":
        exact = values.abs().amax(-1, keepdim=True) / LARGEST[slot_format]
        assert (scales <= exact * (1 + 2**-10) + 2**-24).all()


@pytest.mark.parametrize("slot_format", LARGEST)
@given(values=slots())
@settings(max_examples=40)
def test_what_was_decoded_encodes_to_the_same_bytes(slot_format: str, values: torch.Tensor) -> None:
    # Below float16's normal range scales have too few bits for this.
    values = torch.where(values.abs() < 0.1, values.sign(), values)
    once = encode(values, slot_format)
    again = encode(decode(once), slot_format)
    assert torch.equal(once.codes, again.codes)
    assert once.scales is not None
    assert again.scales is not None
    assert torch.equal(once.scales, again.scales)


@given(st.lists(st.integers(-8, 7), min_size=2, max_size=64).filter(lambda c: len(c) % 2 == 0))
def test_nibbles_pack_exactly(codes: list[int]) -> None:
    tensor = torch.tensor(codes, dtype=torch.int8)
    packed = pack_nibbles(tensor)
    assert packed.dtype == torch.uint8
    assert len(packed) == len(codes) // 2
    assert torch.equal(unpack_nibbles(packed), tensor)


def test_even_positions_are_the_low_nibbles() -> None:
    assert pack_nibbles(torch.tensor([-7, 7], dtype=torch.int8)).tolist() == [0xF1]


@pytest.mark.parametrize("slot_format", ["bfloat16", "float16", "float32"])
def test_plain_formats_keep_their_values(slot_format: str) -> None:
    dtype = getattr(torch, slot_format)
    values = torch.randn(2, 3, 4, 5).to(dtype)
    encoded = encode(values, slot_format)
    assert encoded.scales is None
    assert torch.equal(decode(encoded), values)
    assert decode(encoded, torch.float64).dtype == torch.float64


@pytest.mark.parametrize("slot_format", ["bfloat16", "float16", "float32", "int8", "int4"])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 2, 3, 33), (1, 2, 0, 64)])
def test_shapes_are_as_announced(slot_format: str, shape: tuple[int, ...]) -> None:
    encoded = encode(torch.ones(shape), slot_format)
    codes, scales = code_shapes(slot_format, shape)
    assert (encoded.codes.dtype, tuple(encoded.codes.shape)) == codes
    if scales is None:
        assert encoded.scales is None
    else:
        assert encoded.scales is not None
        assert (encoded.scales.dtype, tuple(encoded.scales.shape)) == scales
    assert decode(encoded).shape == shape


@pytest.mark.parametrize("slot_format", ["bfloat16", "float16", "float32", "int8", "int4"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(slot_format: str, value: float) -> None:
    with pytest.raises(SharedCLIError, match="not finite"):
        encode(torch.tensor([[1.0, value]]), slot_format)


@pytest.mark.parametrize(("slot_format", "value"), [("float16", 1e5), ("int8", 1e7), ("int4", 1e6)])
def test_values_too_large_are_refused(slot_format: str, value: float) -> None:
    with pytest.raises(SharedCLIError, match="too large"):
        encode(torch.tensor([[value]]), slot_format)


def test_unknown_formats_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown"):
        encode(torch.ones(1, 1), "int3")
    with pytest.raises(ValueError, match="unknown"):
        code_shapes("int3", (1, 1))


def test_a_view_is_stored_as_its_own_values() -> None:
    values = torch.arange(24.0).reshape(2, 3, 4).transpose(0, 2)
    assert torch.equal(decode(encode(values, "float32")), values)
