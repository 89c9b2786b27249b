"""Token ids become text as they come: no broken characters, no control bytes, no stop strings.

Notable choices:
- Text is told as soon as no later token can change it: a character that spans several tokens when
  it is whole, and a run of byte tokens (``<0xE2>``, of tokenizers of the Llama 2 kind) when it
  ends, because one wrong byte spoils the whole run.
- Only the tokens since the piece before the last one are decoded again, with which a blank at the
  start of a piece is told from one at the start of a text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from sharedcli.ingest.sanitise import StreamSanitiser

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_BROKEN = "\ufffd"


def decode_stream(tokenizer: Any, tokens: Iterable[int]) -> Iterator[str]:
    """Yield printable text for ``tokens``; joined it equals the text decoded at once, sanitised.

    What never became a whole character comes last, with replacement characters in its place.
    """
    sanitiser = StreamSanitiser()
    for piece in _pieces(tokenizer.backend_tokenizer, tokens):
        if text := sanitiser.feed(piece):
            yield text
    if rest := sanitiser.close():
        yield rest


def _pieces(backend: Any, tokens: Iterable[int]) -> Iterator[str]:
    added = backend.get_added_tokens_decoder()
    special = {token for token, entry in added.items() if entry.special}
    held: list[int] = []  # the last piece's tokens, then those whose text is not told yet
    told, told_chars = 0, 0
    for token in tokens:
        if token in special:
            continue
        held.append(token)
        if _BYTE.fullmatch(backend.id_to_token(token) or ""):
            continue
        text = backend.decode(held)
        if text.endswith(_BROKEN) or len(text) == told_chars:
            continue
        yield text[told_chars:]
        del held[:told]
        told, told_chars = len(held), len(backend.decode(held))
    if rest := backend.decode(held)[told_chars:]:
        yield rest


def stop_tokens(model_config: Any, tokenizer: Any) -> frozenset[int]:
    """Ids that end an answer: the model's, the tokenizer's, and the usual end-of-turn markers."""
    ids: set[int] = set()
    for source in (model_config, tokenizer):
        value = getattr(source, "eos_token_id", None)
        ids.update(value if isinstance(value, list) else [] if value is None else [value])
    vocabulary = tokenizer.get_vocab()
    ids.update(
        vocabulary[marker]
        for marker in ("<|im_end|>", "<|eot_id|>", "<|end|>", "<|endoftext|>")
        if marker in vocabulary
    )
    return frozenset(ids)
