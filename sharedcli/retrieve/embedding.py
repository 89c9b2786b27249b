"""Sentence vectors from all-MiniLM-L6-v2: texts in, unit vectors out.

Notable choices:
- It is a plain BERT run by ``transformers``: mean of the token states, normalised (Reimers and
  Gurevych, arXiv 1908.10084). The sentence-transformers library would add nothing here.
- Texts are batched by length, so that hardly any computation goes into padding; the batch holds a
  bounded number of tokens, so memory is flat for any number of texts.
- Vectors are float16: half the bytes, and the ranking is the same.

Shapes: E = 384, the vector size; W = ``WINDOWS``, the windows of a passage.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from sharedcli.errors import CorruptionError
from sharedcli.model.devices import guard_memory, resolve_device, resolve_dtype
from sharedcli.model.fetch import OnStep
from sharedcli.model.folders import read_manifest, verify_folder
from sharedcli.model.lean_import import import_transformers
from sharedcli.model.quiet import quiet_transformers
from sharedcli.retrieve.encoder_files import fetch_encoder, ignore_step
from sharedcli.retrieve.fused_bert import FusedBert, is_fusable
from sharedcli.retrieve.passages import WINDOWS, cut_windows

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import BertModel

VECTOR_SIZE = 384
"""Numbers in one vector, E."""

MAX_TOKENS = 256
"""Word pieces that are read of a text; the model was made for no more."""

_BATCH_TOKENS = 1024
_BATCH_TEXTS = 64
_LENGTH_STEP = 8
_ROW_STEP = 4
_BLOCK_TEXTS = 2048  # tokenised at a time

Progress = Callable[[int, int], None]
"""Called with texts done and texts in all."""


class SentenceEncoder:
    """A loaded encoder.

    Args:
        model: the BERT, without pooler.
        tokenizer: truncation to ``MAX_TOKENS`` is switched on here.
        device: where it computes.
    """

    passage_size = WINDOWS * VECTOR_SIZE
    """Numbers in the vectors of a passage's windows."""

    def __init__(self, model: BertModel, tokenizer: Tokenizer, device: torch.device) -> None:
        self._model = model
        self._fused = FusedBert(model) if is_fusable(model) else None
        self._tokenizer = tokenizer
        self._device = device
        tokenizer.no_padding()
        tokenizer.enable_truncation(MAX_TOKENS)

    def encode(
        self, texts: Sequence[str], on_progress: Progress = lambda _done, _total: None
    ) -> NDArray[np.float16]:
        """Return one unit vector per text, float16 of shape [N, E]; an empty text has one too.

        Raises:
            OutOfMemoryError: not enough memory on the device.
        """
        vectors = np.zeros((len(texts), VECTOR_SIZE), dtype=np.float16)
        done = 0
        with guard_memory("encoding passages"):
            for start in range(0, len(texts), _BLOCK_TEXTS):
                block = list(texts[start : start + _BLOCK_TEXTS])
                ids = [e.ids for e in self._tokenizer.encode_batch(block)]
                for batch in _batches([len(i) for i in ids]):
                    rows = [start + i for i in batch]
                    vectors[rows] = self._pooled([ids[i] for i in batch])
                    done += len(batch)
                    on_progress(done, len(texts))
        return vectors

    def encode_passages(
        self, texts: Sequence[str], on_progress: Progress = lambda _done, _total: None
    ) -> NDArray[np.float16]:
        """Return the window vectors of each passage, float16 of shape [P, W * E].

        A passage with fewer than W windows has zeros in the places of the missing ones.
        """
        spans = [cut_windows(text) for text in texts]
        windows = [text[a:b] for text, found in zip(texts, spans, strict=True) for a, b in found]
        places = [
            (passage, window) for passage, found in enumerate(spans) for window in range(len(found))
        ]
        vectors = np.zeros((len(texts), WINDOWS, VECTOR_SIZE), dtype=np.float16)
        if places:
            rows, columns = zip(*places, strict=True)
            vectors[list(rows), list(columns)] = self.encode(windows, on_progress)
        return vectors.reshape(len(texts), self.passage_size)

    @torch.inference_mode()
    def _pooled(self, ids: list[list[int]]) -> NDArray[np.float16]:
        """Mean of the last states over each text's own tokens, normalised: [B, T] to [B, E]."""
        shape = _shape(len(ids), max(len(i) for i in ids))
        tokens = torch.zeros(shape, dtype=torch.long)
        mask = torch.zeros(shape, dtype=torch.bool)
        mask[:, 0] = True  # rows that only fill the batch see something too
        for row, text in enumerate(ids):
            tokens[row, : len(text)] = torch.tensor(text)
            mask[row, : len(text)] = True
        tokens, mask = tokens.to(self._device), mask.to(self._device)
        states = self._states(tokens, mask).float()
        weights = mask.unsqueeze(-1).float()
        mean = (states * weights).sum(1) / weights.sum(1)
        unit = torch.nn.functional.normalize(mean, dim=-1)
        vectors: NDArray[np.float16] = unit[: len(ids)].to("cpu", torch.float16).numpy()
        return vectors

    def _states(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Last states [B, T, E]."""
        if self._fused is not None:
            return self._fused(tokens, None if mask.all() else mask)
        found: Tensor = self._model(input_ids=tokens, attention_mask=mask).last_hidden_state
        return found


def load_encoder(
    cache: Path,
    *,
    offline: bool = False,
    device: str = "auto",
    dtype: str = "auto",
    on_step: OnStep = ignore_step,
) -> SentenceEncoder:
    """Load the encoder from the cache, fetching it on first use.

    Args:
        cache: the cache directory.
        offline: never touch the network.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        dtype: "auto", "float32", "bfloat16" or "float16".
        on_step: told the stages of a fetch.

    Raises:
        ModelMissingError: not there and offline, or the fetch failed; ranking by full text alone
            is what callers then fall back to.
        CorruptionError: the cached files are damaged.
    """
    folder = fetch_encoder(cache, offline=offline, on_step=on_step)
    verify_folder(folder, read_manifest(folder) or {"files": {}}, cache)
    return read_encoder(folder, device=device, dtype=dtype)


def read_encoder(folder: Path, *, device: str = "auto", dtype: str = "auto") -> SentenceEncoder:
    """Load an encoder from a folder with config.json, model.safetensors and tokenizer.json.

    Without the general loader, for the reasons given in ``sharedcli.model.direct``.

    Raises:
        CorruptionError: tensors are missing, or there are others than the model has.
    """
    import_transformers()
    from tokenizers import Tokenizer
    from transformers import BertConfig, BertModel
    from transformers.initialization import no_init_weights

    place = resolve_device(device)
    number = resolve_dtype(dtype, place)
    with quiet_transformers(), guard_memory("loading the sentence encoder"):
        config = BertConfig.from_pretrained(folder, local_files_only=True)
        config._attn_implementation = "sdpa"
        with no_init_weights():
            model = BertModel(config, add_pooling_layer=False)
        tensors = {
            name: tensor.to(number) if tensor.is_floating_point() else tensor
            for name, tensor in load_file(folder / "model.safetensors").items()
            if not name.startswith("pooler.")
        }
        result = model.load_state_dict(tensors, strict=False, assign=True)
        wrong = {*result.missing_keys, *result.unexpected_keys} - {"embeddings.position_ids"}
        if wrong:
            raise CorruptionError(
                f"{folder} does not hold the sentence encoder (tensor {min(wrong)}); delete that "
                "folder and give the command again"
            )
        model = model.eval().requires_grad_(False).to(place, number)
    return SentenceEncoder(model, Tokenizer.from_file(str(folder / "tokenizer.json")), place)


def _shape(texts: int, longest: int) -> tuple[int, int]:
    """Rows and columns of a batch.

    Few different ones: for each shape of a product a kernel is made, and half a megabyte kept.
    """
    columns = _LENGTH_STEP * math.ceil(longest / _LENGTH_STEP)
    rows = _ROW_STEP * math.ceil(texts / _ROW_STEP)
    return min(rows, max(texts, _rows(columns))), columns


def _rows(columns: int) -> int:
    """Texts of a full batch."""
    return min(_BATCH_TEXTS, max(1, _BATCH_TOKENS // columns))


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Group texts of similar length, longest first: all batches but the last are full."""
    ordered = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    while ordered:
        _, columns = _shape(1, lengths[ordered[0]])
        full = _rows(columns)
        yield ordered[:full]
        ordered = ordered[full:]
