"""L-Eval's exact match (``Evaluation/auto_eval.py`` and ``em.py`` of its repository)."""

from __future__ import annotations

import re

from sharedcli.evaluation.metrics.words import without_articles

_OPTIONS = "ABCD"
_MARKED = re.compile(r"\s*[A-Z](?=[\s.)])")
_OTHERS = re.compile(r"[^A-D]")
_ANSWER = re.compile(r"The answer is (\S+)")
_CODE_WORDS = ("will be", "of the code", "is", "would be", "the value of", "the result of")
_SUBSET = 0.25
"""Worth of some of several right options and no wrong one."""


def exact(prediction: str, reference: str) -> float:
    """Options by letter, a quarter for some of several; numbers by value; else containment."""
    wanted = without_articles(reference)
    if all(letter in _OPTIONS for letter in wanted):
        said = without_articles(prediction)
        if said == wanted:
            return 1.0
        return _SUBSET if set(said) <= set(wanted) else 0.0
    try:
        return float(float(prediction) == float(reference))
    except ValueError:
        plain = (text.lower().replace(" ", "") for text in (reference, prediction))
        return float(next(plain) in next(plain))


def letters(prediction: str, reference: str) -> float:
    """One right option (quality, tpo): the first of A to D anywhere."""
    return _letters(prediction, reference, several=False)


def several_letters(prediction: str, reference: str) -> float:
    """Several right options (coursera)."""
    return _letters(prediction, reference, several=True)


def _letters(prediction: str, reference: str, *, several: bool) -> float:
    first = (reference.split() or [""])[0]
    return exact(_said(prediction, several), _OTHERS.sub("", first) or "A")


def _said(text: str, several: bool) -> str:
    if not text.strip():
        return "None"
    if text in _OPTIONS:
        return text
    if not several and (found := next((letter for letter in text if letter in _OPTIONS), "")):
        return found
    start = re.match(r"[A-D]*", text)
    said = start[0] if start else ""
    if len(said) > 1:
        return "".join(sorted(set(said)))
    rest = text[len(said) :].split("Question", maxsplit=1)[0]
    said = "".join(sorted(set(_OTHERS.sub("", said + "".join(_MARKED.findall(rest))))))
    if not said and (run := re.search(r"[A-D]+", rest)):
        said = run[0]
    return said or "A"


def arithmetic(prediction: str, reference: str) -> float:
    """gsm100: what follows "The answer is", else the last word of the first part with a digit."""
    return exact(_number(prediction), _number(reference))


def _number(text: str) -> str:
    if match := _ANSWER.search(text):
        word = match[1]
    else:
        words = reversed(text.split("\n\n", maxsplit=1)[0].split(" "))
        word = next((one for one in words if any(c.isdigit() for c in one)), "")
    return "".join(c for c in word.split(".", maxsplit=1)[0] if c.isdigit())


def code_output(prediction: str, reference: str) -> float:
    """codeU: the end of the prediction holds what the program prints."""
    said = _bare(prediction)
    for words in (*_CODE_WORDS, "printed"):
        said = said.replace(words, "")
    count = len(reference.split()) + 3
    if "the final output" in said:
        kept = re.split(r"\s+", said.rsplit("the final output", maxsplit=1)[-1])[:count]
    else:
        kept = re.split(r"\s+", said)[-count:]
    return exact(" ".join(kept), _bare(reference))


def _bare(text: str) -> str:
    text = re.sub(r"\s+", " ", text)
    for gone in (",", "'", "\\", ".0"):
        text = text.replace(gone, "")
    for spaced in ("] [", "[ [", "] ]"):
        text = text.replace(spaced, spaced.replace(" ", ""))
    return text


def truths(prediction: str, reference: str) -> float:
    """sci_fi: the mean over what the text says and the fact, "True [fact: False]"."""
    said, wanted = _judged(prediction), _judged(reference)
    return sum(exact(a, b) for a, b in zip(said, wanted, strict=True)) / len(wanted)


def _judged(text: str) -> list[str]:
    loyalty, _, fact = text.lower().partition("[fact:")
    found = []
    for part in (loyalty, fact):
        word = next((one for one in part.split() if "true" in one or "false" in one), "<error>")
        found.append("true" if "true" in word else "false" if "false" in word else word)
    return found
