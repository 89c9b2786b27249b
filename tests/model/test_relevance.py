"""Query-aware search: shared passes equal a loop, and only the question steers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from shared_samples import GEOMETRY, attached, greatest, ids, small_base
from torch.nn.functional import cosine_similarity

from sharedcli.model.compressor import Compressor
from sharedcli.model.relevance import cosine_scores, query_summary, search_frontiers
from sharedcli.tree.context_tree import ContextTree, Node
from sharedcli.tree.frontier import is_partition, search_path
from sharedcli.tree.geometry import TreeGeometry


def test_a_questions_vector_is_the_state_at_its_last_token(any_base: Any) -> None:
    question = ids(6)
    hidden = any_base.model(question[None], output_hidden_states=True).hidden_states
    for layer in (1, 2):
        with attached(any_base.model, summary_layer=layer) as model:
            assert greatest(query_summary(model, question), hidden[layer][0, -1]) < 1e-6


def test_a_question_is_read_in_the_decoders_role() -> None:
    base, question = small_base(), ids(6)
    with attached(base, decoder_rank=2, compressor_rank=2, used=True) as model:
        found = query_summary(model, question)
        states = base.model.layers[0](
            base.model.embed_tokens(question)[None],
            position_embeddings=base.model.rotary_emb(
                torch.zeros(1, dtype=torch.float64), torch.arange(6)[None]
            ),
        )
        assert greatest(found, states[0, -1]) > 1e-2
        assert greatest(found, model.encode(question[None]).states[0, -1]) > 1e-2
        assert not found.requires_grad


def test_scores_are_cosines() -> None:
    vectors, query = torch.randn(5, 8), torch.randn(8)
    expected = cosine_similarity(vectors, query[None])
    assert greatest(cosine_scores(vectors, query), expected) < 1e-6
    assert greatest(cosine_scores(7 * vectors, 0.1 * query), expected) < 1e-6
    half = cosine_scores(vectors.bfloat16(), query.bfloat16())
    assert half.dtype == torch.float32
    assert not cosine_scores(torch.zeros(2, 8), query).any()


@pytest.mark.parametrize("levels", ["per_node", "nested"])
@pytest.mark.parametrize("architecture", ["Llama", "Qwen3"])
def test_searching_all_chunks_together_equals_searching_one_by_one(
    architecture: str, levels: Any
) -> None:
    geometry = TreeGeometry(16, 3, 2, levels)
    contexts = [ids(45), ids(1, 1), ids(33, 2), torch.empty(0, dtype=torch.long)]
    trees = [ContextTree(len(context), geometry) for context in contexts]
    with attached(small_base(architecture), geometry=geometry) as model:
        compressor = Compressor(model)
        queries = [query_summary(model, ids(5, 10 + i)) for i in range(len(contexts))]
        together = search_frontiers(compressor, contexts, trees, queries)
        opened = set()
        for context, tree, query, found in zip(contexts, trees, queries, together, strict=True):
            assert len(found) == tree.chunks
            for chunk, frontier in enumerate(found):

                def score(node: Node, of: Any = (context, tree, query)) -> float:
                    slots = compressor.compress_nodes([of[0]], [of[1]], [(0, node)])
                    return float(cosine_similarity(slots[0, node].summary, of[2], dim=0))

                assert frontier == search_path(tree, chunk, score)
                assert is_partition(tree, chunk, frontier)
                opened.add(tuple(node.key for node in frontier))
        assert len(opened) > 2  # not one path for all


def test_the_question_alone_steers() -> None:
    context, tree = ids(16), ContextTree(16, GEOMETRY)
    with attached(small_base()) as model:
        compressor = Compressor(model)

        def path(question: torch.Tensor) -> object:
            query = query_summary(model, question)
            return search_frontiers(compressor, [context], [tree], [query])

        assert path(ids(5)) == path(ids(5))
        # Whatever is generated afterwards cannot be read: the question's states are causal.
        answer = torch.cat((ids(5), ids(4, 9)))
        states = model.first_states(answer[None])[0, 4]
        assert greatest(states, query_summary(model, ids(5))) < 1e-10
        assert len({str(path(ids(5, seed))) for seed in range(8)}) > 1


def test_a_question_without_a_token_is_refused() -> None:
    with attached(small_base()) as model, pytest.raises(ValueError, match="without a token"):
        query_summary(model, torch.empty(0, dtype=torch.long))
