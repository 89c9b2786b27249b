"""Keep the progress bars and warnings of ``transformers`` off the terminal, unless debugging."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from sharedcli.setting_values import debugging


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence ``transformers`` inside the block and put its settings back afterwards.

    Nothing is silenced while debugging.
    """
    if debugging():
        yield
        return
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def quiet_gguf() -> Iterator[None]:
    """Silence the GGUF reader's own progress bar, which heeds no setting of ``transformers``."""
    reader: Any = importlib.import_module("transformers.modeling_gguf_pytorch_utils")
    bar = getattr(reader, "tqdm", None)
    if bar is None or debugging():
        yield
        return
    reader.tqdm = partial(bar, disable=True)
    try:
        yield
    finally:
        reader.tqdm = bar
