"""InfiniteBench's own scores (``src/compute_scores.py`` of its repository)."""

from __future__ import annotations

import re
import string

from sharedcli.evaluation.metrics.words import bag_f1

_DIGITS = re.compile(r"[0-9]+")
_DECIMAL = re.compile(r"\d+\.\d+|\d+")
_BREAKS = str.maketrans(dict.fromkeys("\n:\"'.,?!{}", " "))
_CODE_BREAKS = str.maketrans(dict.fromkeys("\n.`'\":", " "))
_CHINESE = str.maketrans(
    "",
    "",
    string.punctuation
    + "！？｡。＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～｟｠｢｣､、〃》「」『』【】〔〕〖〗〘〙〚〛〜〝〞〟〰〾〿–—‘’‛“”„‟…‧﹏.",  # noqa: E501
)


def first_number(prediction: str, reference: str) -> float:
    """Pass key and number string: the first run of digits is the reference."""
    found = _DIGITS.search(prediction)
    return float(found is not None and found.group() == reference.strip())


def first_value(prediction: str, reference: str) -> float:
    """Math.Find: the first number has the reference's value."""
    found = _DECIMAL.search(prediction)
    return float(found is not None and float(found.group()) == float(reference))


def word(prediction: str, reference: str) -> float:
    """Key-value retrieval: the reference is one of the words."""
    return float(reference in prediction.translate(_BREAKS).split())


def name(prediction: str, reference: str) -> float:
    """Dialogues: the reference, in capitals, is one of the words. Two words never are."""
    return float(reference in prediction.upper().translate(_BREAKS).split())


def last_number(prediction: str, reference: str) -> float:
    """Code.Run: the last word is the number."""
    words = prediction.translate(_CODE_BREAKS).split()
    try:
        return float(int(words[-1]) == int(reference))
    except (IndexError, ValueError):
        return 0.0


def number_prefix(prediction: str, reference: str) -> float:
    """Math.Calc: the share of numbers that are right from the first on. Signs do not count."""
    said = [int(digits) for digits in _DIGITS.findall(prediction)]
    wanted = [int(number) for number in reference.split()]
    right = 0
    for one, other in zip(said, wanted):  # noqa: B905 - what is not said is wrong
        if one != other:
            break
        right += 1
    return right / len(wanted) if wanted else 0.0


def character_f1(prediction: str, reference: str) -> float:
    """F1 for Chinese: one character, one token."""
    said, wanted = (
        list("".join(text.lower().translate(_CHINESE).split())) for text in (prediction, reference)
    )
    return bag_f1(said, wanted)
