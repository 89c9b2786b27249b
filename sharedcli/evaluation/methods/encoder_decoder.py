"""CEPE's structure over the whole document (see ``baselines/encoder_decoder.py``)."""

from __future__ import annotations

import torch
from torch import Tensor

from sharedcli.baselines.encoder_decoder import ChunkEncoder, CrossStream, cross_reads
from sharedcli.evaluation.methods.contract import Context, Method, Opened, Workbench


class EncoderDecoder(Method):
    """CEPE's structure, untrained."""

    name = "encoder-decoder"
    about = "CEPE's structure, untrained: its costs are real, its scores are those of none"

    def __init__(self, bench: Workbench) -> None:
        super().__init__(bench)
        base = bench.model.base
        self._encoder = ChunkEncoder(base)
        self._crosses = cross_reads(base, self._encoder.size)

    @property
    def caveat(self) -> str:
        """As ``Method.caveat``."""
        return "not trained: time is real, scores are those of none"

    def continue_text(self, context: Context, running: Tensor) -> Opened:
        """As ``Method.continue_text``."""
        return Opened(self._stream(context), context.tokens[:0], 0, len(context.tokens))

    def ask(self, context: Context, question: str, max_tokens: int) -> Opened:
        """As ``Method.ask``."""
        prompt, _ = self.bench.prompt(question, [], self.bench.room(max_tokens))
        return Opened(self._stream(context), prompt, 0, len(context.tokens))

    @torch.inference_mode()
    def _stream(self, context: Context) -> CrossStream:
        return CrossStream(self.bench.model.shared, self._crosses, self._encoder(context.tokens))
