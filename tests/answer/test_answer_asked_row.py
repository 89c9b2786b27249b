"""Which row of a table a question asks for."""

import pytest

from sharedcli.answer.asked_row import (
    asked_place,
    asked_year,
    lines_of,
    words_of,
)
from sharedcli.answer.prompt import Excerpt

TABLE = """(Millions)  2022  2021
Net sales  $ 34,229  $ 35,355
Total operating expenses  27,690  27,986
Operating income  6,539  7,369
Income (loss) before income taxes  6,392  7,204
Dividends paid  (3,369)  —"""
SHOWN = Excerpt("Annual report", TABLE, called="ACME_2022_10K.pdf")


def label_of(question: str) -> str | None:
    place = asked_place(question, lines_of([SHOWN]))
    return place and place.row.label


@pytest.mark.parametrize(
    ("question", "year"),
    [
        ("What was income in 2021?", "2021"),
        ("What was FY22 income?", "2022"),
        ("What was income in fy2021, or FY'21?", "2021"),
        ("What was income at December 31, 2022?", "2022"),
        ("What was income?", None),
        ("How did it change from 2021 to 2022?", None),
        ("What did the 2021 plan cost?", None),
        ("What did the 2021 plan cost in 2022?", None),
        ("Who paid $2021, or 2,021?", None),
    ],
)
def test_one_year_is_asked_for_or_none(question: str, year: str | None) -> None:
    assert asked_year(question) == year


@pytest.mark.parametrize(
    ("question", "label"),
    [
        ("What was operating income in 2021?", "Operating income"),
        ("How much were ACME's net sales for the year ended December 31, 2022?", "Net sales"),
        ("How much net sale did the company report in FY2022?", "Net sales"),
        ("What were operating expenses in 2021?", "Total operating expenses"),
        ("What were total operating expenses in 2021?", "Total operating expenses"),
        ("What was income before income taxes in 2021?", "Income (loss) before income taxes"),
        ("What dividends were paid in 2021?", None),  # other words between
        ("What was adjusted operating income in 2021?", None),
        ("What was Bell's operating income in 2021?", None),
        ("What was income in 2021?", None),
        ("What was operating income in the June 2021 quarter?", None),
    ],
)
def test_a_row_is_asked_for_by_its_label(question: str, label: str | None) -> None:
    assert label_of(question) == label


def test_words_have_no_case_genitive_or_plural() -> None:
    assert words_of("The Company’s Net Sales") == ["the", "company", "net", "sale"]
    assert words_of("U.S. gas loss") == ["u.s", "gas", "loss"]


def test_rows_of_one_label_must_agree() -> None:
    question = "What were net sales in 2021?"
    same = Excerpt("Summary", "2022  2021\nNet sales  34,229  35,355")
    segment = Excerpt("Segment", "2022  2021\nNet sales  10,000  11,000")
    place = asked_place(question, lines_of([Excerpt("Prose", "Sales rose."), SHOWN, same]))
    assert place is not None
    assert (place.passage, place.cell.figure, place.row.label) == (1, "35,355", "Net sales")
    assert asked_place(question, lines_of([SHOWN, segment])) is None


@pytest.mark.parametrize(
    "question",
    ["What was operating income in 2019?", "What were dividends paid in 2021?", "And net sales?"],
)
def test_there_must_be_a_figure_of_the_year(question: str) -> None:
    assert asked_place(question, lines_of([SHOWN])) is None
