"""Which year a figure of a table stands under, and what an answer says in its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharedcli.answer.columns import Correction, Row, in_asked_column, other_year, read_rows

TABLE = """Consolidated Statement of Income
Years ended December 31
(Millions, except per share amounts)  2022  2021  2020
Net sales  $ 34,229  $ 35,355  $ 32,184
  Gain on business divestitures (1)  (2,724)  —  (389)
Income (loss) from subsidiaries  11  10  (5)
Rents  7  8"""


def rows(text: str) -> list[Row]:
    return [line for line in read_rows(text) if isinstance(line, Row)]


def said(answer: str, question: str, *passages: str) -> tuple[str, list[Correction]]:
    noted: list[Correction] = []
    pieces = iter(part + " " for part in answer.split())
    text = "".join(in_asked_column(pieces, question, passages, noted.append))
    return text.strip(), noted


def test_figures_stand_under_their_years() -> None:
    assert [(row.label, [year for year, _ in row.cells]) for row in rows(TABLE)] == [
        ("Net sales", ["2022", "2021", "2020"]),
        ("Gain on business divestitures (1)", ["2022", "2021", "2020"]),
        ("Income (loss) from subsidiaries", ["2022", "2021", "2020"]),
    ]
    assert other_year("34,229", "2021", [TABLE]) == "35,355"
    assert other_year("35,355", "2022", [TABLE]) == "34,229"


@pytest.mark.parametrize(
    ("line", "sure"),
    [
        ("Net revenues $ 6,489  $ 7,500  $ (1,011)  (13)%", True),  # the difference proves it
        ("Retail channels 909  1,107  (18)%", True),  # so does the percentage
        ("Net sales 11,151 11,154  —  1", False),
        ("Property 5  1,240  1,100", False),  # the first is a note's number
        ("Other 7", False),
    ],
)
def test_further_figures_must_prove_the_columns(line: str, sure: bool) -> None:
    assert bool(rows(f"2019  2018\n{line}")) == sure


@pytest.mark.parametrize(
    "line",
    [
        "In 2019 and 2018 the board paid $ 5 a share and the share price went up and then down",
        "Sales were 12% in 2019 and 13% in 2018",
        "2019",
        "The report covers 2019 and 2018.",
    ],
)
def test_running_text_is_no_head(line: str) -> None:
    assert rows(f"{line}\nNet sales  10  20") == []


@pytest.mark.parametrize(
    "between",
    ["Activision  Blizzard  King", "Year Ended December 31, 2018", "word " * 15],
)
def test_a_table_ends_at_another_head_or_at_running_text(between: str) -> None:
    assert rows(f"2019  2018  2017\n{between}\nNet sales  10  20  30") == []


def test_what_stands_elsewhere_too_stays() -> None:
    assert other_year("35,355", "2022", [TABLE, "Sales of 35,355 were the goal for 2022."]) is None
    assert other_year("99", "2022", [TABLE]) is None
    assert other_year("34,229", "2019", [TABLE]) is None  # no such column
    assert other_year("10", "2020", [TABLE]) is None  # (5): a loss is no 5
    assert other_year("389", "2021", [TABLE]) is None  # a dash
    other = "2022  2021\nGoal  40,000  35,355"
    assert other_year("35,355", "2022", [TABLE, other]) is None  # of which row?
    twice = "2022  2021  2022  2021\nSales  1,000  1,100  1,200  1,300"
    assert other_year("1,100", "2022", [twice]) is None  # which of the two?
    assert other_year("1,100", "2021", ["2022  2021\nA  1,100  1,100"]) is None


def test_an_answer_says_the_figure_of_the_year_that_is_asked_for() -> None:
    text, noted = said("Net sales in 2021 were $34,229, or so.", "Net sales in 2021?", TABLE)
    assert text == "Net sales in 2021 were $35,355, or so."
    assert noted == [Correction("34,229", "35,355", "2021")]
    right = "Net sales in 2022 were 34,229."
    assert said(right, "What were net sales in 2022?", TABLE) == (right, [])


@pytest.mark.parametrize(
    "question",
    [
        "What were net sales?",
        "How did net sales change from 2021 to 2020?",
        "How much was bought under the 2021 programme?",
        "What were net sales in 2021 under the 2020 plan?",
    ],
)
def test_without_one_year_nothing_is_changed_or_held_back(question: str) -> None:
    answer = "They were 34,229."
    assert said(answer, question, TABLE) == (answer, [])
    first = next(in_asked_column(iter([answer, " More."]), question, [TABLE], lambda _: None))
    assert first == answer


def test_only_the_first_sentence_waits() -> None:
    pieces = iter(["Sales were 34,229 in total. ", "They fell from 34,229."])
    text = in_asked_column(pieces, "Sales in 2021?", [TABLE], lambda _: None)
    assert list(text) == ["Sales were 35,355 in total. ", "They fell from 34,229."]


@given(st.text("0123,.()$% —-\n2ab", max_size=200), st.from_regex(r"\d[\d,]{0,4}", fullmatch=True))
def test_no_text_is_too_odd(text: str, figure: str) -> None:
    assert "".join(str(line) for line in read_rows("2022  2021\n" + text))
    assert other_year(figure, "2022", ["2022  2021\n" + text]) != figure
