from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharedcli.retrieve.lexical import (
    MAX_TERMS,
    capitalised_terms,
    match_expression,
    query_terms,
)
from sharedcli.retrieve.vocabulary import document_phrases


@pytest.fixture(scope="module")
def index() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE p USING fts5(text, tokenize='porter unicode61')")
    connection.executemany(
        "INSERT INTO p(rowid, text) VALUES (?, ?)",
        [
            (1, "Purchases of property, plant and equipment were 5 in 2022"),
            (2, "The weather was fine and what did they do"),
            (3, "Total current assets 10, total current liabilities 4"),
        ],
    )
    return connection


def found(index: sqlite3.Connection, question: str) -> list[int]:
    query = "SELECT rowid FROM p WHERE p MATCH ? ORDER BY bm25(p)"
    return [row[0] for row in index.execute(query, (match_expression(question),))]


@given(question=st.text(max_size=200) | st.text(alphabet="\"'*^():- ANDORNEAR{}+,\0a", max_size=60))
def test_no_question_is_read_as_syntax(index: sqlite3.Connection, question: str) -> None:
    expression = match_expression(question)
    if expression:
        index.execute("SELECT rowid FROM p WHERE p MATCH ?", (expression,)).fetchall()
    else:
        assert not any(character.isalnum() for character in question)


@given(st.lists(st.text(alphabet="abcdefgh", min_size=2, max_size=8), max_size=500))
def test_the_number_of_terms_is_bounded(words: list[str]) -> None:
    assert match_expression(" ".join(words)).count('"') <= 2 * MAX_TERMS


def test_stop_words_go_and_repetitions_too() -> None:
    assert query_terms("What did the company's debt do to its Debt?") == ["company", "debt"]


@pytest.mark.parametrize(
    ("question", "terms"),
    [
        ("What does Note 4 say?", ["note", "4", "say"]),
        ("Is there a vitamin C in it, and why?", ["vitamin", "c"]),
        ("Do 34,229 lamps burn 1.5 litres?", ["34,229", "lamps", "burn", "1.5", "litres"]),
        ("Does the U.S. pay?", ["u.s.", "pay"]),
        ("What does the WHO say to US?", ["who", "say", "us"]),
        ("WHAT DOES THE WHO SAY?", ["say"]),
        ("What percentage of women work there?", ["women", "work"]),
        ("A lamp is what I want", ["lamp", "want"]),
        ("2023年の売上高はいくらですか？", ["2023", "年", "売上", "上高"]),  # no particles
        ("これは？", ["これ", "れは"]),
        ("हिन्दी में क्या है?", ["हिन्दी", "में", "क्या", "है"]),  # vowel signs end no word
        ("กันยายน", ["กันย", "ันยา", "นยาย", "ยายน"]),
    ],
)
def test_what_is_searched_for(question: str, terms: list[str]) -> None:
    assert query_terms(question) == terms


@pytest.mark.parametrize(
    ("question", "phrases"),
    [
        ("What was the segment operating income of Blizzard?", ["segment operating income"]),
        ("Who is the Chief Legal Officer, Mr. Kim's boss?", ["chief legal officer"]),
        ("Is the lamp lit?", ["lamp lit"]),
        ("How much fourth quarter lamp oil was it, in FY2022 litres?", ["lamp oil"]),
        ("Which lamp?", []),
        ("谁是公司的首席执行官？", []),  # pieces of one run are no words beside each other
    ],
)
def test_words_beside_each_other_are_a_phrase(question: str, phrases: list[str]) -> None:
    terms = match_expression(question).split(" OR ")
    assert [term.strip('"') for term in terms if " " in term] == phrases


def test_a_figure_is_found_as_a_whole() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE p USING fts5(text, tokenize='porter unicode61')")
    connection.execute("INSERT INTO p(text) VALUES ('34 beds and 229 books'), ('34,229 lamps')")
    assert found(connection, "34,229?") == [2]


def test_a_question_of_stop_words_alone_keeps_them(index: sqlite3.Connection) -> None:
    assert query_terms("What is it?") == ["what", "is", "it"]
    assert found(index, "what did they do") == [2]


def test_fiscal_years_are_searched_as_plain_years(index: sqlite3.Connection) -> None:
    assert query_terms("FY2022 or FY19") == ["fy2022", "fy19", "2022", "2019"]
    assert found(index, "Anything in FY2022?") == [1]


def test_a_ratio_finds_the_lines_it_is_computed_from(index: sqlite3.Connection) -> None:
    assert found(index, "Does it have positive working capital?") == [3]
    assert found(index, "How high was capex?") == [1]


@pytest.mark.parametrize(
    ("question", "phrase"),
    [
        ("EBITDA margin", "depreciation and amortization"),
        ("What was R&D spending?", "research and development"),
        ("pp&e", "property, plant and equipment"),
        ("Is it capital-intensive?", "total assets"),
        ("the P&L statement", "consolidated statements of income"),
        ("worst topline", "net sales"),
    ],
)
def test_phrases_of_documents_are_added(question: str, phrase: str) -> None:
    assert phrase in document_phrases(question)


@pytest.mark.parametrize("question", ["Who wrote the letter?", "AR&DX", "the shoemaker's feps"])
def test_other_words_add_nothing(question: str) -> None:
    assert document_phrases(question) == []


def test_a_phrase_named_twice_is_added_once() -> None:
    phrases = document_phrases("capex and capital expenditures and free cash flow")
    assert len(phrases) == len(set(phrases))
    assert phrases.count("capital expenditures") == 1


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("When does Corning's fiscal year end?", ["corning"]),
        ("Corning’s FY2022 debt, and that of MGM?", ["corning", "fy2022", "mgm"]),
        ("what was corning's debt", []),
        ("", []),
    ],
)
def test_names_are_written_with_a_capital(question: str, names: list[str]) -> None:
    assert capitalised_terms(question) == names


def test_words_of_the_question_form_are_not_searched() -> None:
    assert query_terms("How many employees are there, and how much do they earn?") == [
        "employees",
        "earn",
    ]
