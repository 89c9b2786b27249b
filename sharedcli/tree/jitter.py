"""Split points with noise, for training only (SharedLLM, arXiv 2410.19318, appendix A.1).

The paper cuts a node of l tokens at b = floor(l/2 - eps), eps ~ N(0, sigma^2), while training, at
all levels but the deepest, with sigma = l/5 for language modelling and l/10 for tuning; at test
eps = 0. It gives no bounds, although three sigma of l/5 exceed l/2, so here b is kept such that
each node below still has as many tokens as slots: slot counts are exact under noise, too.

The same place in every chunk is moved by the same share, so that full chunks still have nodes of
equal length, which the compressor reads in one batch. Both kinds of levels can be jittered: nested
levels draw their windows from whatever children a node has. An index never is: a question must meet
the nodes that were stored.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from sharedcli.tree.context_tree import ContextTree, Node


@dataclass(frozen=True)
class JitteredTree(ContextTree):
    """A context tree whose nodes are cut off their middle.

    A node's noise depends on ``seed`` and its place alone, so that the same tree is the same
    whenever and in whatever order it is walked.

    Attributes:
        jitter: sigma as a share of a node's tokens (the paper: 0.2 and 0.1); 0 cuts in the middle.
        seed: a new one for each training sample gives new cuts.
    """

    jitter: float = 0.0
    seed: int = 0

    def split(self, node: Node) -> int:
        """Tokens of the left half of ``node``: the middle less the noise, within bounds."""
        below = self.geometry.depth - node.level - 1
        smallest = self.geometry.slots_per_node << below
        if not self.jitter or not below or node.tokens < 2 * smallest:
            return node.tokens // 2
        share = random.Random(f"{self.seed}/{node.level}/{node.index}").gauss(0.0, self.jitter)
        cut = math.floor(node.tokens / 2 - share * node.tokens)
        return min(max(cut, smallest), node.tokens - smallest)
