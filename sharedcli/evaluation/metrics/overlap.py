"""ROUGE: what two texts have in common, in order.

Three things are called ROUGE-L (Lin, 2004):

- ``rouge_l``: the longest common subsequence of all words, as Google's ``rouge_score`` has it;
- ``rouge_l_sum``: the union over lines of the subsequences, ``rouge_score``'s ``rougeLsum``, which
  InfiniteBench uses;
- ``rouge_l_union``: the same over sentences, with words counted once, as the ``rouge`` package has
  it, which LongBench uses.

No stemming. Words are runs of lower-case letters and digits, but for ``rouge_l_union``, which
splits at blanks and keeps case.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from sharedcli.evaluation.metrics.words import bag_f1, f_measure

_WORD = re.compile(r"[a-z0-9]+")


def rouge_l(prediction: str, reference: str) -> float:
    """F-measure of the longest common subsequence of words."""
    said, wanted = _words(prediction), _words(reference)
    return f_measure(common_subsequence(said, wanted), len(said), len(wanted))


def rouge_1(prediction: str, reference: str) -> float:
    """F-measure over words."""
    return bag_f1(_words(prediction), _words(reference))


def rouge_2(prediction: str, reference: str) -> float:
    """F-measure over pairs of neighbouring words."""
    said, wanted = (
        [f"{one} {other}" for one, other in zip(words, words[1:])]  # noqa: B905, RUF007
        for words in (_words(prediction), _words(reference))
    )
    return bag_f1(said, wanted)


def rouge_l_sum(prediction: str, reference: str) -> float:
    """Summary-level ROUGE-L over lines: no word counts more often than both texts have it."""
    said, wanted = (
        [_words(line) for line in text.split("\n") if line] for text in (prediction, reference)
    )
    left = Counter(word for line in said for word in line)
    hits = 0
    wanted_left = Counter(word for line in wanted for word in line)
    for line in wanted:
        places = {place for other in said for place in _places(line, other, shorten="first")}
        for word in (line[place] for place in sorted(places)):
            if left[word] > 0 and wanted_left[word] > 0:
                hits += 1
                left[word] -= 1
                wanted_left[word] -= 1
    return f_measure(hits, sum(map(len, said)), sum(map(len, wanted)))


def rouge_l_union(prediction: str, reference: str) -> float:
    """Summary-level ROUGE-L over sentences and distinct words; 0 if either text has none."""
    said, wanted = (
        [" ".join(sentence.split()).split(" ") for sentence in text.split(".") if sentence]
        for text in (prediction, reference)
    )
    union = {
        line[place]
        for line in wanted
        for other in said
        for place in _places(line, other, shorten="second")
    }
    if not said or not wanted:
        return 0.0
    distinct = [len({word for line in lines for word in line}) for lines in (said, wanted)]
    return f_measure(len(union), *distinct)


def common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence, in time |first| * |second| / word size.

    Bit-parallel (Hyyrö, 2004): bit j of ``row`` is 0 where the length grows at ``second[j]``.
    """
    places: dict[str, int] = {}
    for at, item in enumerate(second):
        places[item] = places.get(item, 0) | 1 << at
    full = (1 << len(second)) - 1
    row = full
    for item in first:
        hit = row & places.get(item, 0)
        row = ((row + hit) | (row - hit)) & full
    return len(second) - row.bit_count()


def _places(first: Sequence[str], second: Sequence[str], *, shorten: str) -> list[int]:
    """Places in ``first`` of one longest common subsequence with ``second``.

    Several may be longest, and which words are found depends on the one that the walk back takes:
    on a tie it goes on with ``shorten`` one word shorter, as the package does.
    """
    table = [[0] * (len(second) + 1)]
    for word in first:
        row, above = [0], table[-1]
        for at, other in enumerate(second):
            row.append(above[at] + 1 if word == other else max(row[at], above[at + 1]))
        table.append(row)
    found, i, j = [], len(first), len(second)
    while i and j:
        if first[i - 1] == second[j - 1]:
            i, j = i - 1, j - 1
            found.append(i)
        elif table[i][j - 1] > table[i - 1][j]:
            j -= 1
        elif table[i - 1][j] > table[i][j - 1] or shorten == "first":
            i -= 1
        else:
            j -= 1
    return found


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
