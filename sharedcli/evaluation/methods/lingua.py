"""Prompt compression by token: keep the tokens that the base finds hardest to guess.

LLMLingua (Jiang et al., arXiv 2310.05736) and Selective Context (Li et al., arXiv 2310.06201) drop
tokens of low information, measured as ``-log p`` under a small causal model. LLMLingua-2 asks a
trained token classifier instead; its weights are not to be had without a hub, so here the base
itself measures. There is no coarse step over sentences and no budget per part.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sharedcli.answer.prompt import Excerpt
from sharedcli.baselines.streams import CachedStream
from sharedcli.evaluation.methods.contract import Context, Method, Opened

MEASURED = 1024
"""Tokens that are measured in one pass, each pass from an empty cache."""


@torch.inference_mode()
def surprisals(logits: Tensor, tokens: Tensor) -> Tensor:
    """Return ``-log p`` [T] of ``tokens`` [T] under ``logits`` [T - 1, V]; the first is kept."""
    found = torch.nn.functional.cross_entropy(
        logits, tokens[1:].to(logits.device), reduction="none"
    )
    return torch.cat((found.new_full((1,), float("inf")), found)).cpu()


class Lingua(Method):
    """The document's most informative tokens, as many as ``--budget``."""

    name = "lingua"
    about = "the document's most informative tokens by the base's own perplexity"
    takes = frozenset({"budget"})

    @property
    def caveat(self) -> str:
        """As ``Method.caveat``."""
        return "measured by the base itself, not by LLMLingua-2's classifier"

    def continue_text(self, context: Context, running: Tensor) -> Opened:
        """As ``Method.continue_text``."""
        kept = self._compressed(context, self.bench.window - len(running))
        return Opened(
            CachedStream(self.bench.model.shared), context.tokens[kept], context_tokens=len(kept)
        )

    def ask(self, context: Context, question: str, max_tokens: int) -> Opened:
        """As ``Method.ask``."""
        kept = self._compressed(context, self.bench.room(max_tokens) // 2)
        text = self.bench.tokenizer.decode(context.tokens[kept].tolist())
        excerpt = Excerpt(f"{context.document.title}, shortened", text)
        prompt, _ = self.bench.prompt(question, [excerpt], self.bench.room(max_tokens))
        return Opened(CachedStream(self.bench.model.shared), prompt, context_tokens=len(kept))

    def _compressed(self, context: Context, room: int) -> Tensor:
        """Places [K] of the tokens that stay, in reading order."""
        budget = max(1, min(self.bench.settings.budget, room))
        tokens = context.tokens
        if len(tokens) <= budget:
            return torch.arange(len(tokens))
        parts = []
        for block in tokens.split(MEASURED):
            if len(block) == 1:
                parts.append(torch.full((1,), float("inf")))
                continue
            stream = CachedStream(self.bench.model.shared)
            parts.append(surprisals(stream.read(block[:-1], len(block) - 1), block))
        return torch.cat(parts).topk(budget).indices.sort().values
