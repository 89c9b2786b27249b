"""Query-aware split-and-search with the model's own first-layer vectors.

SharedLLM (arXiv 2410.19318, section 3.2) opens the half whose vector is closer, by cosine, to the
question's. A node's vector is the compressor's hidden state after ``summary_layer`` layers at the
node's last token; the question's is the decoder's, at the question's last token, without injection.

Notable choices:
- The question alone is read: neither the running text nor, in training, the answer may steer the
  search. The released code takes the vector at the end of the answer while training, a leak.
- No final norm: cosine is free of the length that it would take away, and the paper has none.
- The search is one argmax after another and passes no gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from sharedcli.model.compressor import Compressor
from sharedcli.model.node_slots import Frontier
from sharedcli.model.sharedllm import SharedLLM
from sharedcli.tree.context_tree import ContextTree, Node
from sharedcli.tree.frontier import search_path


@torch.no_grad()
def query_summary(model: SharedLLM, question_tokens: Tensor) -> Tensor:
    """Return the search vector [E] of a question of T tokens, given as ids [T].

    Raises:
        ValueError: the question has no token.
    """
    if not question_tokens.shape[0]:
        raise ValueError("a question without a token has no search vector")
    return model.first_states(question_tokens[None])[0, -1]


def cosine_scores(summaries: Tensor, query: Tensor) -> Tensor:
    """Cosine of each of ``summaries`` [N, E] with ``query`` [E], shape [N], in float32 or more."""
    dtype = torch.promote_types(torch.float32, summaries.dtype)
    return normalize(summaries.to(dtype), dim=-1) @ normalize(query.to(dtype), dim=-1)


def node_scorer(summaries: Mapping[Node, Tensor], query: Tensor) -> Callable[[Node], float]:
    """Score nodes for ``search_path``: all cosines are taken at once."""
    scores: dict[Node, float] = {}
    if summaries:
        vectors = torch.stack(list(summaries.values()))
        cosines = cosine_scores(vectors, query.to(vectors.device)).tolist()
        scores = dict(zip(summaries, cosines, strict=True))
    return scores.__getitem__


@torch.no_grad()
def search_frontiers(
    compressor: Compressor,
    contexts: Sequence[Tensor],
    trees: Sequence[ContextTree],
    queries: Sequence[Tensor],
) -> list[list[Frontier]]:
    """Search every chunk of each context for its query [E]; contexts are token ids [T].

    The halves of all chunks are scored in shared passes of ``summary_layer`` layers.
    """
    wanted = [
        (index, node)
        for index, tree in enumerate(trees)
        for chunk in range(tree.chunks)
        for node in tree.nodes(chunk)
    ]
    vectors = compressor.summaries(contexts, trees, wanted)
    frontiers: list[list[Frontier]] = []
    for index, tree in enumerate(trees):
        own = {node: vector for (context, node), vector in vectors.items() if context == index}
        score = node_scorer(own, queries[index])
        frontiers.append([search_path(tree, chunk, score) for chunk in range(tree.chunks)])
    return frontiers
