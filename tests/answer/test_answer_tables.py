"""Tables whose columns are years: rows, and what is no row."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharedcli.answer.tables import Cell, Row, figures_of, read_lines

TABLE = """Consolidated Statement of Income
Years ended December 31
(Millions, except per share amounts)  2022  2021  2020
Net sales  $ 34,229  $ 35,355  $ 32,184
  Gain on business divestitures (1)  (2,724)  —  (389)
Income (loss) from subsidiaries  11  10  (5)
   Percent of sales  11.4 %  20.3 %  4 %
Rents  7  8"""


def rows(text: str) -> list[Row]:
    return [line for line in read_lines(text) if isinstance(line, Row)]


def test_figures_stand_under_their_years() -> None:
    found = {row.label: [(cell.year, cell.figure) for cell in row.cells] for row in rows(TABLE)}
    assert found == {
        "Net sales": [("2022", "34,229"), ("2021", "35,355"), ("2020", "32,184")],
        # its note is no figure, and neither is a dash
        "Gain on business divestitures (1)": [("2022", "2,724"), ("2021", ""), ("2020", "389")],
        "Income (loss) from subsidiaries": [("2022", "11"), ("2021", "10"), ("2020", "5")],
        "Percent of sales": [("2022", "11.4"), ("2021", "20.3"), ("2020", "4")],
    }
    assert [row.cells[0].percent for row in rows(TABLE)] == [False, False, False, True]
    assert [row.cells[0].negative for row in rows(TABLE)] == [False, True, False, False]


def test_a_year_has_one_cell() -> None:
    row = rows("2022  2021  2021\nSales  1  2  3")[0]
    assert row.of("2022") == Cell("2022", "1")
    assert row.of("2021") is None
    assert row.of("2020") is None


@pytest.mark.parametrize(
    ("line", "sure"),
    [
        ("Net revenues $ 6,489  $ 7,500  $ (1,011)  (13)%", True),  # the difference proves it
        ("Retail channels 909  1,107  (18)%", True),  # so does the percentage
        ("Net sales 11,151 11,154  —  1", False),
        ("Property 5  1,240  1,100", False),  # the first is a note's number
        ("Other 7", False),
        ("19  20", False),  # no label
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
    "line",
    ["June 30, 2019  June 30, 2018", "∆% 2019 $ million 2018 $ million", "Note (in €) 2019 2018"],
)
def test_heads_may_say_more_than_years(line: str) -> None:
    assert len(rows(f"{line}\nNet sales  10  20")) == 1


@pytest.mark.parametrize(
    "between",
    ["Activision  Blizzard  King", "Year Ended December 31, 2018", "word " * 15],
)
def test_a_table_ends_at_another_head_or_at_running_text(between: str) -> None:
    assert rows(f"2019  2018  2017\n{between}\nNet sales  10  20  30") == []


def test_the_head_may_stand_before_the_passage() -> None:
    before, text = TABLE.split("  Gain")
    found = list(read_lines("  Gain" + text, before))
    assert [type(line) for line in found] == [Row, Row, Row, str]
    assert [type(line) for line in read_lines("  Gain" + text)] == [str] * 4
    assert rows("") == []


def test_figures_are_taken_as_they_are_written() -> None:
    assert figures_of("In 2019, 7,500, or 1.5 of $12.") == ["2019", "7,500", "1.5", "12"]


@given(st.text("0123,.()$% —-\n2ab", max_size=200))
def test_no_text_is_too_odd(text: str) -> None:
    lines = list(read_lines("2022  2021\n" + text))
    assert len(lines) == text.count("\n") + 2
    assert all(len(row.cells) == 2 for row in lines if isinstance(row, Row))
