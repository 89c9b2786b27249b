"""Multiple choice: options with letters, and the letter that an answer means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import ascii_uppercase

_LETTERED = re.compile(r"\s*[\[(]?([A-Z])[\]).:]+\s*")
_INSIDE = re.compile(r"\n\s*(?=[A-Z][.):])")
_MARKED = re.compile(r"(?:answer|option)(?:\s+is)?\s*:?\s*[\[(]?([A-Z])\b", re.IGNORECASE)


def bare_options(options: Sequence[str]) -> list[str]:
    """Take letters ("A. ", "[B] ") off the options if they have theirs.

    Published lists are not always clean: two options may share an entry, and an entry without a
    letter behind lettered ones is the evidence, which would give the answer away; it is dropped.
    """
    split = [part for option in options for part in _INSIDE.split(option) if part.strip()]
    lettered = []
    for letter, option in zip(ascii_uppercase, split):  # noqa: B905 - stops where letters do
        match = _LETTERED.match(option)
        if match is None or match.group(1) != letter:
            break
        lettered.append(option[match.end() :].strip())
    return lettered if len(lettered) > 1 else [option.strip() for option in options]


def option_letter(answer: str, options: Sequence[str]) -> str | None:
    """Return the letter of the option that ``answer`` gives by letter or by text; None if none."""
    letters = ascii_uppercase[: len(options)]
    bare = answer.strip()
    for letter, option in zip(letters, options, strict=True):
        if bare.casefold() == option.strip().casefold():
            return letter
    if len(bare) <= 3 and (match := re.fullmatch(r"[\[(]?([A-Za-z])[\].):]?", bare)):
        letter = match.group(1).upper()
        return letter if letter in letters else None
    if (match := _LETTERED.match(answer)) and match.group(1) in letters:
        return match.group(1)
    return None


def said_letter(prediction: str, options: Sequence[str]) -> str | None:
    """Return the letter that a free answer chooses: by letter, by "the answer is B", by text."""
    if letter := option_letter(prediction, options):
        return letter
    letters = ascii_uppercase[: len(options)]
    if (match := _MARKED.search(prediction)) and match.group(1).upper() in letters:
        return match.group(1).upper()
    first = prediction.strip()[:2]
    if first and first[0] in letters and not first[1:].isalpha():
        return first[0]
    lower = prediction.casefold()
    named = [
        letter
        for letter, option in zip(letters, options, strict=True)
        if option.strip() and option.strip().casefold().rstrip(".") in lower
    ]
    return named[0] if len(named) == 1 else None


def listed(options: Sequence[str]) -> str:
    """Write options one a line with their letters."""
    return "\n".join(
        f"{letter}. {option}" for letter, option in zip(ascii_uppercase, options, strict=False)
    )
