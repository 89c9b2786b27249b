"""Scores of one prediction against its references, as the published sets define them.

Notable choices:
- ``normalise`` is SQuAD's (Rajpurkar et al., arXiv 1606.05250): lower case, no punctuation, no
  articles. LongBench, L-Eval and InfiniteBench use the same.
- ROUGE-L is the F-measure over the longest common subsequence of words (Lin, 2004), without
  stemming, on lower-case letters and digits as Google's ``rouge_score`` does. LongBench's figures
  come from the ``rouge`` package, which splits at sentences: expect differences of a point.
- Edit similarity is ``2 * LCS / (|a| + |b|)`` over characters, what ``fuzz.ratio`` gives.

Every score lies between 0 and 1. Over several references the best counts.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ROUGE_WORD = re.compile(r"[a-z0-9]+")
_NUMBER = re.compile(r"\d+")
_TRUTH = re.compile(r"true|false")
_LETTERS = re.compile(r"[A-D](?:,? ?[A-D])*(?![A-Za-z])")
_CHINESE_MARKS = "！？｡。＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～、〃《》「」『』【】〔〕“”‘’…—–"  # noqa: E501
_CHINESE = str.maketrans("", "", string.punctuation + _CHINESE_MARKS)

Score = Callable[[str, str], float]


def best_of(score: Score, prediction: str, references: Sequence[str]) -> float:
    """Return the best score over the references; 0 if there are none."""
    return max((score(prediction, reference) for reference in references), default=0.0)


def normalise(text: str) -> str:
    """SQuAD's normalisation: lower case, no punctuation, no articles, single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(prediction: str, reference: str) -> float:
    """1 if both are equal after ``normalise``."""
    return float(normalise(prediction) == normalise(reference))


def f1(prediction: str, reference: str) -> float:
    """F-measure over the bags of normalised words; 1 if both have none (as in SQuAD 2)."""
    said, wanted = normalise(prediction).split(), normalise(reference).split()
    if not said or not wanted:
        return float(said == wanted)
    return _overlap(said, wanted)


def character_f1(prediction: str, reference: str) -> float:
    """InfiniteBench's F1 for Chinese: one character, one token."""
    said, wanted = (
        list("".join(text.lower().translate(_CHINESE).split())) for text in (prediction, reference)
    )
    return _overlap(said, wanted)


def _overlap(said: Sequence[str], wanted: Sequence[str]) -> float:
    shared = sum((Counter(said) & Counter(wanted)).values())
    if not shared:
        return 0.0
    precision, recall = shared / len(said), shared / len(wanted)
    return 2 * precision * recall / (precision + recall)


def rouge_l(prediction: str, reference: str) -> float:
    """F-measure of the longest common subsequence of words."""
    said, wanted = (_ROUGE_WORD.findall(text.lower()) for text in (prediction, reference))
    shared = common_subsequence(said, wanted)
    if not shared:
        return 0.0
    precision, recall = shared / len(said), shared / len(wanted)
    return 2 * precision * recall / (precision + recall)


def edit_similarity(prediction: str, reference: str) -> float:
    """``2 * LCS / (|a| + |b|)`` over characters; 1 for two empty texts."""
    if not prediction and not reference:
        return 1.0
    shared = common_subsequence(prediction, reference)
    return 2 * shared / (len(prediction) + len(reference))


def code_similarity(prediction: str, reference: str) -> float:
    """LongBench's score of code: edit similarity of the first line that is no comment."""
    lines = prediction.lstrip("\n").split("\n")
    code = next((line for line in lines if not any(m in line for m in ("`", "#", "//"))), "")
    return edit_similarity(code, reference)


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


def contained(prediction: str, reference: str) -> float:
    """1 if the normalised reference stands in the normalised prediction as whole words."""
    wanted = normalise(reference)
    return float(bool(wanted) and f" {wanted} " in f" {normalise(prediction)} ")


def first_number(prediction: str, reference: str) -> float:
    """InfiniteBench's pass key: 1 if the first number of the prediction is the reference."""
    found = _NUMBER.search(prediction)
    return float(found is not None and found.group() == reference.strip())


def number_share(prediction: str, reference: str) -> float:
    """LongBench's counting: the share of the prediction's numbers that are the reference's."""
    wanted = _NUMBER.search(reference)
    numbers = _NUMBER.findall(prediction)
    if not numbers or wanted is None:
        return 0.0
    return numbers.count(wanted.group()) / len(numbers)


def stripped_match(prediction: str, reference: str) -> float:
    """BAMBOO's accuracy of numbers: equal but for case, outer blanks and full stops."""
    return float(prediction.strip().strip(".").lower() == reference.strip().strip(".").lower())


def first_line_match(prediction: str, reference: str) -> float:
    """BAMBOO's accuracy of names: ``stripped_match`` of the prediction's first line."""
    return stripped_match(prediction.split("\n", maxsplit=1)[0], reference)


def truths(prediction: str, reference: str) -> float:
    """L-Eval's science fiction: the share of the reference's "True [fact: False]" that is said."""
    said, wanted = (_TRUTH.findall(text.lower()) for text in (prediction, reference))
    right = sum(a == b for a, b in zip(said, wanted))  # noqa: B905 - what is not said is wrong
    return right / len(wanted) if wanted else 0.0


def last_number(prediction: str, reference: str) -> float:
    """L-Eval's arithmetic, InfiniteBench's code runs: 1 if the last numbers are equal."""
    said, wanted = (_NUMBER.findall(text.replace(",", "")) for text in (prediction, reference))
    return float(bool(said) and bool(wanted) and said[-1] == wanted[-1])


def number_prefix(prediction: str, reference: str) -> float:
    """InfiniteBench's calculations: the share of numbers that are right from the first on."""
    said, wanted = _NUMBER.findall(prediction), _NUMBER.findall(reference)
    right = 0
    for one, other in zip(said, wanted):  # noqa: B905
        if one != other:
            break
        right += 1
    return right / len(wanted) if wanted else 0.0


def letters(prediction: str, reference: str) -> float:
    """L-Eval's exams: the set of letters at the start, or the first one, is the reference's."""
    wanted = re.sub(r"[^A-Z]", "", (reference.split() or [""])[0])
    start = _LETTERS.match(prediction.strip())
    said = "".join(sorted(set(start.group().replace(",", "").replace(" ", "")))) if start else ""
    if not said and (first := re.search(r"\b[A-D]\b", prediction)):
        said = first.group()
    return float(said == "".join(sorted(set(wanted))))


def class_match(prediction: str, reference: str, classes: Sequence[str]) -> float:
    """LongBench's classification: 1 / number of class names in the prediction, if ours is one."""
    named = [name for name in classes if name in prediction]
    named = [name for name in named if not (name in reference and name != reference)]
    return 1 / len(named) if reference in named else 0.0
