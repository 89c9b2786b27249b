"""Scripts without blanks between words, in pieces."""

import pytest

from sharedcli.store.ngrams import unspaced, with_ngrams


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("谁是公司", "谁是 是公 公司"),
        ("水", "水"),
        ("海水は3度でした", "海水 は 3 度 でし した"),  # a run ends where the script changes
        ("データの", "デー ータ の"),
        ("서울은", "서울 울은"),
        ("กันยายน", "กันย ันยา นยาย ยายน"),
        ("ปี", "ปี"),
        ("ＦＹ２０２３年", "FY2023 年"),
        ("U.S. net income, 34,229 naïve हिन्दी", "U.S. net income, 34,229 naïve हिन्दी"),
    ],
)
def test_runs_become_pieces(text: str, words: str) -> None:
    assert with_ngrams(text).split() == words.split()


def test_text_of_other_scripts_is_not_touched() -> None:
    text = "Two  lamps,\n\nＡ wide letter.\n"
    assert with_ngrams(text) is text


def test_a_word_is_of_such_scripts_or_not() -> None:
    assert unspaced("公司")
    assert unspaced("กันย")
    assert not unspaced("公司A")
    assert not unspaced("")
