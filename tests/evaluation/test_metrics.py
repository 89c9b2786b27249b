"""Scores against values that are known: worked out by hand, or from the sets' own scripts."""

from __future__ import annotations

from difflib import SequenceMatcher

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharedcli.evaluation import metrics


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The  Quick, brown FOX!", "quick brown fox"),
        ("a an the", ""),
        ("theatre anthem", "theatre anthem"),
        ("It's $3.50 (net)", "its 350 net"),
        ("An apple, a day", "apple day"),
    ],
)
def test_squad_normalisation(text: str, normal: str) -> None:
    assert metrics.normalise(text) == normal


@pytest.mark.parametrize(
    ("prediction", "reference", "score"),
    [
        ("the cat sat", "a cat sat", 1.0),
        ("cat sat on mat", "cat sat", 2 * (2 / 4) * 1 / (2 / 4 + 1)),
        ("cat cat", "cat", 2 * 0.5 * 1 / 1.5),
        ("dog", "cat", 0.0),
        ("", "", 1.0),
        ("", "cat", 0.0),
    ],
)
def test_f1(prediction: str, reference: str, score: float) -> None:
    assert metrics.f1(prediction, reference) == pytest.approx(score)


def test_exact_match_is_after_normalisation() -> None:
    assert metrics.exact_match("The Answer.", "answer") == 1
    assert metrics.exact_match("The Answers", "answer") == 0
    assert metrics.best_of(metrics.exact_match, "b", ["a", "B!"]) == 1
    assert metrics.best_of(metrics.exact_match, "b", []) == 0


def test_rouge_l_of_lins_example() -> None:
    # Lin (2004), section 3.1: S2 and S3 against S1, beta = 1
    reference = "police killed the gunman"
    assert metrics.rouge_l("police kill the gunman", reference) == pytest.approx(0.75)
    assert metrics.rouge_l("the gunman kill police", reference) == pytest.approx(0.5)
    assert metrics.rouge_l("", reference) == 0


def test_edit_similarity_of_known_pairs() -> None:
    # fuzz.ratio: "kitten"/"sitting" 62 (LCS "ittn": 8/13), "this is a test"/"...!" 97
    assert metrics.edit_similarity("kitten", "sitting") == pytest.approx(8 / 13)
    assert metrics.edit_similarity("this is a test", "this is a test!") == pytest.approx(28 / 29)
    assert metrics.edit_similarity("", "") == 1


@given(st.text("abcd", max_size=24), st.text("abcd", max_size=24))
def test_longest_common_subsequence(first: str, second: str) -> None:
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            same = table[i][j] + 1
            table[i + 1][j + 1] = same if a == b else max(table[i][j + 1], table[i + 1][j])
    assert metrics.common_subsequence(first, second) == table[-1][-1]
    # matching blocks are a common subsequence, if not always the longest
    blocks = SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
    assert table[-1][-1] >= sum(block.size for block in blocks)


@given(st.text(max_size=30), st.text(max_size=30))
def test_scores_lie_between_0_and_1(first: str, second: str) -> None:
    for score in (metrics.f1, metrics.rouge_l, metrics.edit_similarity, metrics.character_f1):
        assert 0 <= score(first, second) <= 1
    assert metrics.edit_similarity(first, first) == 1


def test_code_is_its_first_line_without_a_comment() -> None:
    answer = "\n# next\n```python\nreturn x\nreturn y"
    assert metrics.code_similarity(answer, "return x") == 1
    assert metrics.code_similarity("# nothing", "return x") == 0


@pytest.mark.parametrize(
    ("score", "prediction", "reference", "value"),
    [
        (metrics.contained, "It was Ann Lee.", "ann lee", 1),
        (metrics.contained, "It was Annabel", "ann", 0),
        (metrics.contained, "anything", "the", 0),
        (metrics.first_number, "The key is 71432, not 5", "71432", 1),
        (metrics.first_number, "no number", "71432", 0),
        (metrics.last_number, "5 and then 1,200", "1200", 1),
        (metrics.number_share, "Paragraph 3 or 4", "Paragraph 3", 0.5),
        (metrics.number_prefix, "1, 2, 9, 4", "1 2 3 4", 0.5),
        (metrics.stripped_match, " 1964. ", "1964", 1),
        (metrics.stripped_match, "in 1964", "1964", 0),
        (metrics.first_line_match, "John Smith.\nJane", "john smith", 1),
        (metrics.truths, "False [fact: True]", "True [fact: True]", 0.5),
        (metrics.letters, "AC", "AC", 1),
        (metrics.letters, "C, A", "AC", 1),
        (metrics.letters, "B. Because", "B", 1),
        (metrics.letters, "The answer is D", "D", 1),
        (metrics.letters, "Apple", "A", 0),
        (metrics.character_f1, "北京。", "北京", 1),
    ],
)
def test_scores_of_the_published_sets(
    score: metrics.Score, prediction: str, reference: str, value: float
) -> None:
    assert score(prediction, reference) == pytest.approx(value)


def test_classes_count_those_that_are_named() -> None:
    classes = ["Date", "Distance", "Other"]
    assert metrics.class_match("Date", "Date", classes) == 1
    assert metrics.class_match("Date or Other", "Date", classes) == 0.5
    assert metrics.class_match("Other", "Date", classes) == 0
