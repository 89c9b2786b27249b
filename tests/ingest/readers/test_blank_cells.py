"""Blank cells of tables: filled where it is certain, and nowhere else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sharedcli.ingest.readers.blank_cells import fill_blank_cells

TABLE = """\
(in millions)                     2022      2021      2020
Net income                  $    1,386  $  1,935  $    523
   Depreciation                  1,329     1,352     1,399
   Pension contributions                     (24)     (221)
   Asset impairment                                    217
   Loss on disposal                189        57
   Severance charges                70       (13)      148
"""


def test_a_blank_cell_gets_a_dash() -> None:
    filled = [" ".join(line.split()) for line in fill_blank_cells(TABLE).splitlines()]
    assert filled[3:7] == [
        "Pension contributions — (24) (221)",
        "Asset impairment — — 217",
        "Loss on disposal 189 57 —",
        "Severance charges 70 (13) 148",
    ]


def test_what_is_there_stays_where_it_is() -> None:
    for before, after in zip(TABLE.splitlines(), fill_blank_cells(TABLE).splitlines(), strict=True):
        assert after.replace("—", " ").rstrip() == before.rstrip()


def test_a_heading_of_years_begins_another_table() -> None:
    other = (
        TABLE
        + "                                 2022      2021\n"
        + ("   Net sales                     1,329     1,352\n" * 4)
    )
    assert fill_blank_cells(other).count("—") == fill_blank_cells(TABLE).count("—")


def test_what_is_no_cell_stays() -> None:
    prose = (
        "   Of the range of 25.0% to         38.1% it is said that it was       reached in 2022\n"
    )
    assert fill_blank_cells(TABLE + prose).endswith(prose.rstrip() + "\n")
    total = "                                                     2,000\n"  # a sum without a label
    assert fill_blank_cells(TABLE + total).endswith(total.rstrip() + "\n")
    shifted = "   Shares    7                                         \n"
    assert "—" not in fill_blank_cells(TABLE + shifted).splitlines()[-1]
    few = "\n".join(TABLE.splitlines()[:3])
    assert fill_blank_cells(few) == few


def test_a_column_that_few_rows_have_is_left_alone() -> None:
    rows = "".join(f"   Row {n}              {n:3}      {n:3}\n" for n in range(100, 120))
    sums = "".join(f"   Sum {n}              {n:3}      {n:3}      {n:3}\n" for n in range(3))
    assert fill_blank_cells(sums + rows) == "\n".join(
        line.rstrip() for line in (sums + rows).split("\n")
    )


@given(st.text(alphabet="a 1,.()$%—\n", max_size=300))
def test_nothing_but_blanks_is_replaced(text: str) -> None:
    filled = fill_blank_cells(text).split("\n")
    for before, after in zip(text.split("\n"), filled, strict=True):
        assert len(after) >= len(before.rstrip())
        for old, new in zip(before.ljust(len(after)), after, strict=False):
            assert new in (old, "—")
            assert old in (new, " ")
