"""Which passages a training prompt quotes."""

from __future__ import annotations

from random import Random

from sharedcli.training.quoting import FOUND, Quotable

FILLER = " ".join("Nothing of note was written down on this quiet day." for _ in range(40))
TEXT = "\n\n".join(
    (
        FILLER,
        f"The harbour master counts nine ships. {FILLER}",
        f"The harbour was dredged, and the ships waited. {FILLER}",
        f"A lighthouse keeper earns forty crowns. {FILLER}",
    )
)
QUESTION = "How many ships does the harbour master count?"


def _choose(text: str, rng: Random, question: str, place: int | None, count: int) -> list[str]:
    return [text[a:b] for a, b in Quotable(text).choose(rng, question, place, count)]


def test_the_best_passage_comes_first_and_rare_words_decide() -> None:
    chosen = _choose(TEXT, Random(0), QUESTION, TEXT.index("nine"), 2)
    assert [("nine ships" in text, "dredged" in text) for text in chosen] == [
        (True, False),
        (False, True),
    ]


def test_a_missed_passage_mostly_takes_the_last_place() -> None:
    place = TEXT.index("forty")
    drawn = [_choose(TEXT, Random(seed), QUESTION, place, 2) for seed in range(200)]
    assert all("nine ships" in texts[0] and len(texts) == 2 for texts in drawn)
    found = sum("forty crowns" in texts[1] for texts in drawn) / len(drawn)
    assert abs(found - FOUND) < 0.1


def test_without_a_place_words_alone_decide_and_no_more_than_there_are_is_quoted() -> None:
    few = "Only a few words."
    assert _choose(few, Random(0), "Which words?", None, 3) == [few]
    assert _choose(" ", Random(0), "Which words?", None, 3) == []
