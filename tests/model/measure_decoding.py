"""Time and cost of the ways to decode, in one run; see docs/reference/performance-notes.md.

    python tests/model/measure_decoding.py TEXT... [--tokens 128] [--windows 8]

For each text file: a prompt of its first 500 tokens and a request to retell it, answered greedily
with each format of the weights; then the loss in nats of 511 tokens that follow, read through the
packed layers four at a time. No time is asserted anywhere: compare the rows of one run.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import torch

from sharedcli.answer.stream import stop_tokens
from sharedcli.engine.loading import load_model
from sharedcli.model.decoder import Decoder
from sharedcli.model.packed_decoder import ROWS
from sharedcli.settings import load_settings

FORMATS = ("unpacked", "plain", "int8", "int4")


def answer(decoder: Decoder, prompt: torch.Tensor, stop: frozenset[int], count: int) -> Any:
    """Tokens, seconds to the first one, and seconds of the rest but one."""
    started = time.perf_counter()
    marks, said = [], []
    for token in decoder.generate(prompt, stop, count):
        marks.append(time.perf_counter())
        said.append(token)
    return said, marks[0] - started, marks


def loss(decoder: Decoder, text: torch.Tensor) -> float:
    """Nats per token of ``text`` from its second token on."""
    stream = decoder._stream
    rows = []
    with torch.inference_mode():
        for part in text[:-1].split(ROWS):
            rows.append(stream.extend(part, len(part)))
    return float(torch.nn.functional.cross_entropy(torch.cat(rows), text[1:]))


def main() -> None:
    """Measure and print one row per format."""
    parser = argparse.ArgumentParser()
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--windows", type=int, default=8)
    parser.add_argument("--formats", nargs="+", default=FORMATS)
    chosen = parser.parse_args()
    loaded = load_model(load_settings({"offline": True}))
    tokenizer, model = loaded.base.tokenizer, loaded.shared
    stop = stop_tokens(loaded.base.model.config, tokenizer)
    prompts, windows = [], []
    for path in chosen.texts:
        ids = tokenizer(path.read_text(encoding="utf-8"))["input_ids"]
        request = tokenizer.decode(ids[:500]) + "\n\nWhat does this text say? Quote it."
        message = [{"role": "user", "content": request}]
        given = tokenizer.apply_chat_template(message, add_generation_prompt=True, tokenize=False)
        prompts.append(torch.tensor(tokenizer(given)["input_ids"]))
        windows.append(torch.tensor(ids[500:1012]))
    reference: dict[int, list[int]] = {}
    print(f"{torch.get_num_threads()} threads, {loaded.base.dtype}")
    for name in chosen.formats:
        first, plain, drafted = [], [], []
        right = guessed = agree = total = 0
        packing = 0.0
        for number, prompt in enumerate(prompts):
            for drafts in (False, True):
                decoder = Decoder(model, None, name, drafts=drafts)
                if not number and not drafts and name != "unpacked":
                    started = time.perf_counter()
                    with torch.inference_mode():
                        decoder._stream._decoder.packed()
                    packing = time.perf_counter() - started
                said, to_first, marks = answer(decoder, prompt, stop, chosen.tokens)
                first.append(to_first)
                seconds = (marks[-1] - marks[0]) / max(1, len(marks) - 1)
                (drafted if drafts else plain).append(seconds)
                right, guessed = right + decoder.accepted, guessed + decoder.drafted
            reference.setdefault(number, said)
            same = [a == b for a, b in zip(said, reference[number], strict=False)]
            agree += [*same, False].index(False)
            total += max(len(said), len(reference[number]))
        nats = [loss(Decoder(model, None, name), window) for window in windows[: chosen.windows]]
        speed, ahead = len(plain) / sum(plain), len(drafted) / sum(drafted)
        print(
            f"{name:9} packing {packing:5.2f} s, first token {1e3 * min(first):6.0f} ms, "
            f"{speed:6.1f} tokens/s, with drafts {ahead:6.1f} ({right}/{guessed} right), "
            f"agrees for {agree}/{total} tokens, {sum(nats) / len(nats):.4f} nats",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
