"""Sentence vectors from all-MiniLM-L6-v2: texts in, unit vectors out.

Notable choices:
- It is a plain BERT run by ``transformers``: mean of the token states, normalised (Reimers and
  Gurevych, arXiv 1908.10084). The sentence-transformers library would add nothing here.
- Texts of like lengths are read together, one behind the other without padding; a batch holds a
  bounded number of tokens, so memory is flat for any number of texts.
- Vectors are float16: half the bytes, and the ranking is the same.

Shapes: E = 384, the vector size; W = ``WINDOWS``, the windows of a passage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from sharedcli.errors import CorruptionError
from sharedcli.model.devices import guard_memory, resolve_device, resolve_dtype
from sharedcli.model.fetch import OnStep
from sharedcli.model.folders import read_manifest, verify_folder
from sharedcli.model.lean_import import import_transformers
from sharedcli.model.quiet import quiet_transformers
from sharedcli.retrieve.encoder_files import fetch_encoder, ignore_step
from sharedcli.retrieve.packed_bert import PackedBert
from sharedcli.retrieve.passages import WINDOWS, cut_windows

if TYPE_CHECKING:
    from tokenizers import Tokenizer

VECTOR_SIZE = 384
"""Numbers in one vector, E."""

MAX_TOKENS = 256
"""Word pieces that are read of a text; the model was made for no more."""

_BATCH_TOKENS = 1024
_BLOCK_TEXTS = 2048  # tokenised at a time

Progress = Callable[[int, int], None]
"""Called with texts done and texts in all."""


class SentenceEncoder:
    """A loaded encoder.

    Args:
        model: the BERT.
        tokenizer: truncation to ``MAX_TOKENS`` is switched on here.
    """

    passage_size = WINDOWS * VECTOR_SIZE
    """Numbers in the vectors of a passage's windows."""

    def __init__(self, model: PackedBert, tokenizer: Tokenizer) -> None:
        self._model = model
        self._tokenizer = tokenizer
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

    def _pooled(self, ids: list[list[int]]) -> NDArray[np.float16]:
        """Mean of the last states over each text's own tokens, normalised: B texts to [B, E]."""
        unit = torch.nn.functional.normalize(self._model(ids), dim=-1)
        vectors: NDArray[np.float16] = unit.to("cpu", torch.float16).numpy()
        return vectors


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
    return SentenceEncoder(PackedBert(model), Tokenizer.from_file(str(folder / "tokenizer.json")))


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Group texts of similar length, longest first."""
    batch: list[int] = []
    tokens = 0
    for text in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        if batch and tokens + lengths[text] > _BATCH_TOKENS:
            yield batch
            batch, tokens = [], 0
        batch.append(text)
        tokens += lengths[text]
    if batch:
        yield batch
