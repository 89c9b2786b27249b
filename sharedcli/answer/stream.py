"""Token ids become text as they come: no broken characters, no control bytes, no stop strings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tokenizers.decoders import DecodeStream

from sharedcli.ingest.sanitise import StreamSanitiser


def decode_stream(tokenizer: Any, tokens: Iterable[int]) -> Iterator[str]:
    """Yield printable text for ``tokens``; joined it equals the text decoded at once.

    A character that spans several tokens comes when it is whole.
    """
    backend = tokenizer.backend_tokenizer
    decoder = DecodeStream(skip_special_tokens=True)
    sanitiser = StreamSanitiser()
    for token in tokens:
        piece = decoder.step(backend, token)
        if piece and (text := sanitiser.feed(piece)):
            yield text
    if rest := sanitiser.close():
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
