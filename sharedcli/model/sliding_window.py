"""How many tokens a base's layers see at once, where they do not see all."""

from __future__ import annotations

from typing import Any

from sharedcli.errors import UsageError


def check_window(base: Any, layers: int, tokens: int) -> None:
    """Refuse to compress more tokens at once than a sliding window of the layers lets see.

    Raises:
        UsageError: with the largest number that fits.
    """
    for index in range(layers):
        window = _sliding_window(base, index)
        if window is not None and tokens > window:
            raise UsageError(
                f"{tokens} tokens cannot be compressed at once: layer {index} of this model sees a "
                f"window of {window} tokens only; use smaller chunks (--chunk-tokens)"
            )


def seen_at_once(base: Any, layers: int) -> int | None:
    """The shortest sliding window of the lowest ``layers`` layers; None if none has one."""
    windows = [_sliding_window(base, index) for index in range(layers)]
    return min((window for window in windows if window is not None), default=None)


def _sliding_window(base: Any, index: int) -> int | None:
    attention = base.model.layers[index].self_attn
    # Qwen keeps the window in those layers that have one, Mistral in the configuration.
    if hasattr(attention, "sliding_window"):
        return attention.sliding_window  # type: ignore[no-any-return]
    return getattr(base.config, "sliding_window", None)
