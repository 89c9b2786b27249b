"""The shape of a context tree: chunks, nodes, splits and frontiers. No torch, no disk."""
