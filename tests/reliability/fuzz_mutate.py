"""How a whole file becomes a damaged one: in its bytes, in its tokens, or crossed with another."""

import random
import re
from collections.abc import Sequence

CHUNKS = (b"\0" * 9, b"\xff\xfe", b"<" * 50, b"%%EOF", b"PK\3\4", b"9" * 30, b"\xed\xa0\x80")
NUMBERS = (b"0", b"1", b"-1", b"255", b"65536", b"2147483648", b"-9223372036854775809", b"1e308")
_TOKEN = re.compile(rb"-?\d+(?:\.\d+)?|[A-Za-z_:]+|\s+|.", re.S)
_MOST_TOKENS = 1 << 16  # larger files are damaged in their bytes only


def mutated(rng: random.Random, data: bytes, words: Sequence[bytes] = ()) -> bytes:
    """Damage a file a few times.

    Args:
        rng: where chance comes from.
        data: the whole file.
        words: what means something in this format.
    """
    if words and len(data) < _MOST_TOKENS and rng.random() < 0.6:
        data = _in_tokens(rng, data, words)
        if rng.random() < 0.7:
            return data
    return _in_bytes(rng, data)


def crossed(rng: random.Random, first: bytes, second: bytes) -> bytes:
    """The beginning of one file and the end of another."""
    return first[: rng.randrange(len(first) + 1)] + second[rng.randrange(len(second) + 1) :]


def _in_bytes(rng: random.Random, data: bytes) -> bytes:
    work = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(work) + 1)
        to = min(len(work), at + rng.choice((1, 2, 8, 64, 1024)))
        match rng.randrange(6):
            case 0 if at < len(work):
                work[at] ^= 1 << rng.randrange(8)
            case 1 if at < len(work):
                work[at] = rng.choice((0, 0x20, 0x7F, 0xFF, rng.randrange(256)))
            case 2:
                del work[at:to]
            case 3:
                work[at:at] = work[at:to]
            case 4:
                work[at:at] = rng.choice(CHUNKS)
            case _:
                part = bytes(work[at:to])
                del work[at:to]
                place = rng.randrange(len(work) + 1)
                work[place:place] = part
    return bytes(work)


def _in_tokens(rng: random.Random, data: bytes, words: Sequence[bytes]) -> bytes:
    tokens = _TOKEN.findall(data)
    for _ in range(rng.choice((1, 1, 2, 4, 12))):
        if not tokens:
            break
        at = rng.randrange(len(tokens))
        to = min(len(tokens), at + rng.choice((1, 3, 20, 200)))
        match rng.randrange(7):
            case 0:
                tokens[at] = rng.choice(words)
            case 1:
                tokens.insert(at, rng.choice(words))
            case 2:
                _new_number(rng, tokens, at)
            case 3:
                other = rng.randrange(len(tokens))
                tokens[at], tokens[other] = tokens[other], tokens[at]
            case 4:
                del tokens[at:to]
            case 5:
                tokens[at:at] = tokens[at:to] * rng.choice((1, 1, 2, 50))
            case _:
                tokens[at] = tokens[rng.randrange(len(tokens))]
    return b"".join(tokens)


def _new_number(rng: random.Random, tokens: list[bytes], at: int) -> None:
    """Give the next number from ``at`` on another value."""
    for place in range(at, min(len(tokens), at + 500)):
        if tokens[place].isdigit():
            near = b"%d" % (int(tokens[place][:18]) + rng.choice((-1, 1)))
            tokens[place] = rng.choice((*NUMBERS, near))
            return
