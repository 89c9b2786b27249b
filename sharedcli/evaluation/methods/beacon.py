"""Activation Beacon's structure without its training (see ``baselines/progressive.py``)."""

from __future__ import annotations

from torch import Tensor

from sharedcli.baselines.progressive import ProgressiveStream, slots_of
from sharedcli.evaluation.methods.contract import Context, Method, Opened, UnfitError


class BeaconLike(Method):
    """Progressive compression in all layers, at the stored grain's ratio or ``@r8``."""

    name = "beacon-like"
    about = "Activation Beacon's structure, untrained: chunks in turn, each sees what is kept"
    takes = frozenset({"ratio"})

    @property
    def caveat(self) -> str:
        """As ``Method.caveat``."""
        return "not trained: its cost is that of progressive compression, its scores are not"

    def continue_text(self, context: Context, running: Tensor) -> Opened:
        """As ``Method.continue_text``."""
        return self._opened(context, context.tokens[:0], len(running))

    def ask(self, context: Context, question: str, max_tokens: int) -> Opened:
        """As ``Method.ask``."""
        prompt, _ = self.bench.prompt(question, [], self.bench.room(max_tokens))
        return self._opened(context, prompt, len(prompt) + max_tokens)

    def _opened(self, context: Context, prompt: Tensor, more: int) -> Opened:
        geometry = self.bench.model.geometry(self.bench.settings).stored
        ratio = self.variant.ratio or geometry.overall_ratio
        tokens, chunk = context.tokens, geometry.chunk_tokens
        needed = slots_of(len(tokens), chunk, ratio) + more
        if needed > self.bench.window:
            raise UnfitError(
                f"{needed} positions exceed the window of {self.bench.window}; raise the ratio"
            )
        stream = ProgressiveStream(self.bench.model.shared, tokens, chunk, ratio)
        return Opened(stream, prompt, stream.kept, len(tokens))
