"""``metrics.longbench``, ``leval``, ``infinitebench``, ``bamboo``: values of their own scripts."""

from __future__ import annotations

import pytest

from sharedcli.evaluation.metrics import bamboo, infinitebench, leval, longbench
from sharedcli.evaluation.metrics.words import Score


@pytest.mark.parametrize(
    ("score", "prediction", "reference", "value"),
    [
        (longbench.number_share, "Paragraph 3 or 4", "Paragraph 3", 0.5),
        (longbench.number_share, "12", "12", 1),
        (longbench.number_share, "none", "12", 0),
        (longbench.code_similarity, "# x\n    return self.value", "return self.values", 0.87),
        (longbench.code_similarity, "\n# next\n```python\nreturn x\nreturn y", "return x", 1),
        (longbench.code_similarity, "# nothing", "return x", 0),
        (leval.letters, "Because B", "B", 1),
        (leval.letters, "(C) x", "C", 1),
        (leval.letters, "none", "A", 1),  # the script guesses A
        (leval.letters, "", "A", 0),
        (leval.several_letters, "AC", "ACD", 0.25),
        (leval.several_letters, "A. one C. two", "AC", 1),
        (leval.several_letters, "ACB", "AC", 0),
        (leval.arithmetic, "so it is 1,200 dollars", "... The answer is 1200.", 1),
        (leval.arithmetic, "no idea", "The answer is 7", 0),
        (leval.code_output, "the final output of the code is [1, 2]", "[1, 2]", 1),
        (leval.code_output, "3", "[1, 2]", 0),
        (leval.truths, "False [fact: True]", "True [fact: True]", 0.5),
        (leval.exact, "It was in May", "in may", 1),
        (leval.exact, "3.0", "3", 1),
        (infinitebench.first_number, "The key is 71432, not 5", "71432", 1),
        (infinitebench.first_number, "no number", "71432", 0),
        (infinitebench.first_value, "it is 3.50", "3.5", 1),
        (infinitebench.word, '"c3-b2": it', "c3-b2", 1),
        (infinitebench.word, "c3-b2x", "c3-b2", 0),
        (infinitebench.name, "It is Jerry.", "JERRY", 1),
        (infinitebench.last_number, "returns: -7.", "-7", 1),
        (infinitebench.last_number, "returns seven", "7", 0),
        (infinitebench.number_prefix, "[1, 2, 9, 4]", "1 2 3 4", 0.5),
        (infinitebench.character_f1, "北京。", "北京", 1),
        (bamboo.stripped, " 1964. ", "1964", 1),
        (bamboo.stripped, "in 1964", "1964", 0),
        (bamboo.first_line, "John Smith.\nJane", "john smith", 1),
    ],
)
def test_scores_of_the_published_sets(
    score: Score, prediction: str, reference: str, value: float
) -> None:
    assert score(prediction, reference) == pytest.approx(value)


def test_classes_count_those_that_are_named() -> None:
    classes = ["Date", "Distance", "Other"]
    assert longbench.class_match("Date", "Date", classes) == 1
    assert longbench.class_match("Date or Other", "Date", classes) == 0.5
    assert longbench.class_match("Other", "Date", classes) == 0
    # the script skips the name behind one that it takes out
    assert longbench.class_match("Date, D", "Date", ["D", "Dat", "Date"]) == 0.5
    assert longbench.first_line("\n\nDate\nOther") == "Date"
