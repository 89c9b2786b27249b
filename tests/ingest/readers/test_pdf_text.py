from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sharedcli.ingest.readers.pdf_text import is_table, tidy

TORN = "Net sales\n$\n34,229\n \n$\n35,355\n \nCost of sales\n19,232\n \n18,795\n(\n2,724\n)\n—\n"
WHOLE = "Net sales $ 34,229 $ 35,355\nCost of sales 19,232 18,795\nGain (2,724) —\n48\n" * 5


def test_a_table_is_noticed_whole_or_torn():
    assert is_table(TORN)
    assert is_table(WHOLE)
    assert not is_table("Prose about 1999.\nMore of it.\n" * 30 + "17\n")
    assert not is_table("")


def test_columns_end_up_two_blanks_apart():
    assert (
        tidy("Net sales          $        34,229      $   35,355")
        == "Net sales  $ 34,229  $ 35,355"
    )
    assert tidy("Growth      33.9      %   (3.2)    %") == "Growth  33.9 %  (3.2) %"


def test_indentation_shows_hierarchy_but_does_not_centre():
    assert tidy("Assets\n   Cash\n" + " " * 60 + "2022") == "Assets\n   Cash\n2022"


def test_ligatures_soft_hyphens_and_odd_blanks():
    assert tidy("ﬁnancial oﬃce") == "financial office"
    assert tidy("exam\u00ad\nple") == "example"
    assert tidy("10\u00a0million\u2009dollars") == "10 million dollars"


def test_surrogate_pair_is_one_character():
    assert tidy("\ud835\udc65 = 1") == "𝑥 = 1"
    assert tidy("\ud835 alone") == "\ufffd alone"


@given(st.text(st.sampled_from("ab1$%( )\n\t\u00ad\ud835\u00a0")))
def test_tidy_is_idempotent_and_keeps_what_is_not_blank(text):
    once = tidy(text)
    assert tidy(once) == once
    kept = [char for char in text if char in "ab1$%()"]
    assert [char for char in once if char in "ab1$%()"] == kept


def test_long_runs_of_blanks_take_linear_time():
    assert tidy("a" + " " * 2_000_000 + "b\n" + "\n" * 100_000 + "c") == "a  b\n\nc"


def test_justified_prose_has_one_blank_between_words() -> None:
    line = "Net  sales  on  a  comparable  basis  were  about  5%  lower  than  before."
    assert tidy(line) == " ".join(line.split())
    row = "Net sales of the Americas segment in total  1,234  1,235  (24)  —"
    assert tidy(row) == row
    assert tidy("Start  -up costs  -5") == "Start-up costs  -5"
