"""Tensors of consecutive chunks on their way to a blob."""

from __future__ import annotations

from pathlib import Path

import torch

from sharedcli.store.blobs import BlobFiles
from sharedcli.store.quantize import decode, encode
from sharedcli.store.segments import Segment, read_tensors


def test_a_segment_holds_copies(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "blobs").mkdir()
    blobs, segment = BlobFiles(tmp_path), Segment("00" * 6)
    values = torch.randn(2, 3, 4, 64, generator=torch.Generator().manual_seed(0))
    encoded = {form: encode(values, form) for form in ("bfloat16", "int8", "int4")}
    expected = {form: decode(one).clone() for form, one in encoded.items()}
    segment.add(0, encoded)
    for one in encoded.values():  # whose memory the thread that made it may use again
        one.codes.zero_()
        if one.scales is not None:
            one.scales.zero_()
    data, directories = segment.serialize()
    blob = blobs.write(data), len(data)
    found = read_tensors(blobs, blob, "00" * 6, 0, directories[0])
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[form], expected[form]) for form in found)
