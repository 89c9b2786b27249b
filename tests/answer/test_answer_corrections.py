"""What an answer says for a figure that stands in the wrong place of a table."""

import pytest

from sharedcli.answer.asked_row import asked_place, lines_of
from sharedcli.answer.corrections import Correction, as_tables_say
from sharedcli.answer.prompt import Excerpt

TABLE = """(Millions)  2022  2021  2020
Net sales  $ 34,229  $ 35,355  $ 32,184
Total operating expenses  27,690  27,986  25,023
Operating income  6,539  7,369  7,161
Income taxes  612  1,285  1,337
Income before income taxes  6,392  7,204  6,795
  Percent of sales  18.7 %  20.4 %  21.1 %
Loss on sale  (10)  30  —"""


def said(answer: str, question: str, *passages: str) -> tuple[str, list[Correction]]:
    noted: list[Correction] = []
    pieces = iter(part + " " for part in answer.split())
    shown = [
        Excerpt("Annual report", passage, "", "ACME_2022.pdf") for passage in passages or (TABLE,)
    ]
    row = asked_place(question, lines_of(shown))
    text = "".join(as_tables_say(pieces, question, shown, row, noted.append))
    return text.strip(), noted


def stays(answer: str, question: str, *passages: str) -> bool:
    return said(answer, question, *passages) == (answer, [])


# --- another year's column ----------------------------------------------------------------------


def test_a_figure_of_another_year_gives_way_to_the_one_beside_it() -> None:
    text, noted = said("ACME sold $34,229, or so.", "What did ACME sell in 2021?")
    assert text == "ACME sold $35,355, or so."
    assert noted == [Correction("34,229", "35,355", "Net sales", "2021")]
    assert stays("ACME sold 34,229.", "What did ACME sell in 2022?")


@pytest.mark.parametrize(
    ("figure", "year", "more"),
    [
        ("35,355", "2022", "Sales of 35,355 were the goal for 2022."),  # stated elsewhere
        ("612", "2021", "The 612 of them met."),  # short: it may be of anything
        ("99", "2022", ""),
        ("34,229", "2019", ""),  # no such column
        ("30", "2022", ""),  # a loss is no 10
        ("30", "2020", ""),  # a dash
        ("35,355", "2022", "2022  2021\nGoal  40,000  35,355"),  # of which row?
        ("35,355", "2022", "2022  2021\nGoal  35,355  30,000"),  # it is of 2022, too
    ],
)
def test_what_is_not_sure_stays(figure: str, year: str, more: str) -> None:
    assert stays(f"It was {figure}.", f"What was sold in {year}?", TABLE, more)


def test_a_longer_figure_may_stand_elsewhere_where_the_year_does_not() -> None:
    text, _ = said("It was 34,229.", "What was sold in 2021?", TABLE, "It sold 34,229 in all.")
    assert text == "It was 35,355."


def test_what_was_paid_is_beside_what_was_paid() -> None:
    table = "2022  2021\nDividends paid  (3,369)  (3,420)\nResult  (10)  1,850"
    assert said("It was 3,369.", "What was paid in 2021?", table)[0] == "It was 3,420."
    assert stays("It was 1,850.", "What was it in 2022?", table)


def test_figures_to_compare_with_stay() -> None:
    assert stays("It was 35,355, up from 32,184.", "What was sold in 2021?")


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
    assert stays("Net sales were 34,229.", question)
    pieces = iter(["Net sales were 34,229.", " More."])
    first = next(as_tables_say(pieces, question, [Excerpt("a", TABLE)], None, lambda _: None))
    assert first == "Net sales were 34,229."


def test_only_the_first_sentence_waits() -> None:
    pieces = iter(["Sales were 34,229 in total. ", "They fell from 34,229."])
    text = as_tables_say(pieces, "Sales in 2021?", [Excerpt("a", TABLE)], None, lambda _: None)
    assert list(text) == ["Sales were 35,355 in total. ", "They fell from 34,229."]
    assert list(as_tables_say(iter([]), "Sales in 2021?", [], None, lambda _: None)) == []


# --- the row that is asked for ------------------------------------------------------------------


@pytest.mark.parametrize(
    "question",
    [
        "What was operating income in 2021?",
        "What was ACME's operating income for the year ended December 31, 2021?",
        "How much operating income did the company report in fiscal 2021?",
        "What was the FY2021 operating income?",
        "What was operating income for FY'21?",
    ],
)
def test_a_row_that_is_all_of_the_question_answers_it(question: str) -> None:
    text, noted = said("Operating income in 2021 was $ 27,986 million.", question)
    assert text == "Operating income in 2021 was $ 7,369 million."
    assert noted == [Correction("27,986", "7,369", "Operating income", "2021")]


def test_a_figure_keeps_the_scale_that_stands_above_the_table() -> None:
    text, _ = said("Net sales were $5,484 million.", "What were net sales in 2021?")
    assert text == "Net sales were $35,355 million."


def test_a_label_may_have_a_total_and_an_aside_more() -> None:
    text, _ = said("Operating expenses were 7,369.", "What were operating expenses in 2021?")
    assert text == "Operating expenses were 27,986."
    table = "2022  2021\nIncome (loss) before tax  40  50\nRent  1,000  2,000"
    text, _ = said("Income before tax was 2,000.", "What was income before tax in 2021?", table)
    assert text == "Income before tax was 50."
    table = "2022  2021\nAssets  40  50\nTotal assets  400  500\nRent  1,000  2,000"
    text, _ = said("Assets were 2,000.", "What were assets in 2021?", table)
    assert text == "Assets were 50."  # the whole label goes first


@pytest.mark.parametrize(
    ("answer", "question"),
    [
        # a part of the label, or of the question, is not enough
        ("Income before income taxes was 7,369.", "What was income before 2021?"),
        ("Operating income was 1,285.", "What was adjusted operating income in 2021?"),
        ("Operating income was 1,285.", "What was operating income in the June 2021 quarter?"),
        # a percentage is no amount, nor an amount a percentage
        ("Operating income was 12%.", "What was operating income in 2021?"),
        ("The percent of sales was 7,369.", "What was the percent of sales in 2021?"),
        # billions, which no table has
        ("Operating income was $3.6 billion.", "What was operating income in 2021?"),
        ("Operating income was $5,484 thousand.", "What was operating income in 2021?"),
        ("It was 1,285 in another place.", "What was operating income in 2021?"),
        ("Operating income was 1,285, not 612.", "What was operating income in 2021?"),
        ("Operating income was good.", "What was operating income in 2021?"),
        ("Loss on sale was 1,337.", "What was loss on sale in 2020?"),
    ],
)
def test_other_answers_stay(answer: str, question: str) -> None:
    assert stays(answer, question)


def test_what_a_text_says_of_the_label_stays() -> None:
    question, answer = "What were net sales in 2021?", "Net sales in 2021 were 14,694."
    assert stays(answer, question, TABLE, "Net sales of $14,694 million were in line.")
    assert not stays(answer, question, TABLE, "Other sales of $14,694 million were in line.")
    other = "2022  2021\nNet sales  1,000  1,100"  # of a segment?
    assert stays("Net sales were 7,370.", question, TABLE, other)
