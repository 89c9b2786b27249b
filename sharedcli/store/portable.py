"""One document's tree as one file: what the file looks like.

A zip archive whose members are stored, not compressed, so that its size is what reading costs:

- ``manifest.json``: format, version, the document's record, pages and identity, and size and
  SHA-256 of every other member;
- ``text.txt``: the text, UTF-8;
- ``passages.safetensors``: ``spans`` int32 [P, 3] (page, start, end), ``vectors`` float16 [P, V];
- ``chunks/00000000.safetensors``, ...: ``token_ids`` int32 [T], ``char_spans`` int32 [T, 2],
  ``summaries`` float16 [N, E], and per tensor ``slots/<name>`` and ``scales/<name>`` in the slot
  format, as the store keeps them.

No pickle, no code, no paths that are unpacked to the disk.
"""

from __future__ import annotations

FORMAT = "sharedcli-tree"
VERSION = 1

MANIFEST = "manifest.json"
TEXT = "text.txt"
PASSAGES = "passages.safetensors"

TOKEN_IDS = "token_ids"
CHAR_SPANS = "char_spans"
SPANS = "spans"
VECTORS = "vectors"
SLOTS = "slots/"
SCALES = "scales/"

MANIFEST_LIMIT = 64 << 20
MEMBER_LIMIT = 512 << 20
"""Bytes of one member; honest chunks have a few million."""


def chunk_member(index: int) -> str:
    """The member that holds a chunk."""
    return f"chunks/{index:08d}.safetensors"
