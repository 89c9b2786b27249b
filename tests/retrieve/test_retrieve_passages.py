from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sharedcli.ingest.document import Document, Page
from sharedcli.retrieve.passages import WINDOWS, cut_passages, cut_windows, split_text

PAGES = st.lists(st.text(alphabet="ab Z.!?9\n\t本語。é", max_size=400), min_size=1, max_size=5)


def document(pages: list[str]) -> Document:
    spans, at = [], 0
    for number, text in enumerate(pages, start=1):
        spans.append(Page(number, None, at, at + len(text)))
        at += len(text)
    return Document("a.txt", "a", "text/plain", "0" * 64, "".join(pages), tuple(spans))


@given(PAGES, st.integers(1, 30))
def test_passages_hold_all_text_once_and_never_cross_a_page(pages: list[str], words: int) -> None:
    doc = document(pages)
    passages = cut_passages(doc, words)
    assert [p.ordinal for p in passages] == list(range(len(passages)))
    covered = "".join(doc.text[p.start : p.end] for p in passages)
    assert "".join(covered.split()) == "".join(doc.text.split())
    before = 0
    for passage in passages:
        page = doc.pages[passage.page - 1]
        assert page.start <= passage.start < passage.end <= page.end
        assert passage.start >= before
        before = passage.end
        text = doc.text[passage.start : passage.end]
        assert text == text.strip()


@given(st.integers(1, 2000), st.integers(1, 200))
def test_sizes_are_even_and_bounded(count: int, words: int) -> None:
    text = " ".join(["word"] * count)
    sizes = [len(text[a:b].split()) for a, b in split_text(text, words)]
    assert sum(sizes) == count
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= 1.5 * words + 1


def test_cuts_fall_on_the_nearest_sentence_end() -> None:
    text = "One two three four five six. Seven eight nine ten. Eleven twelve thirteen fourteen now."
    first, second = (text[a:b] for a, b in split_text(text, 7))
    assert first.endswith("six.")
    assert second.startswith("Seven")


def test_an_abbreviation_in_a_sentence_is_no_break() -> None:
    text = "He paid approx. two thirds of it. She paid the rest of it."
    assert [text[a:b] for a, b in split_text(text, 6)] == [
        "He paid approx. two thirds of it.",
        "She paid the rest of it.",
    ]


def test_a_wrapped_line_is_no_break_while_a_sentence_ends_nearby() -> None:
    text = "Snow lay for\n219 days. It was\ndeepest in April.\nThe sun shone for\n1,488 hours."
    cut = [text[a:b] for a, b in split_text(text, 8)]
    assert cut == [
        "Snow lay for\n219 days. It was\ndeepest in April.",
        "The sun shone for\n1,488 hours.",
    ]
    assert "\n219" not in [text[a:b] for a, b in cut_windows(text * 9)][1]


def test_an_abbreviation_before_a_name_is_no_break() -> None:
    text = "The board of the company thanked Mr. Weeks of Corning Inc. for it then. He left it. "
    long = 4 * text
    assert {long[a:b] for a, b in split_text(long, 17)} == {text.strip()}
    assert not any(text[a:b].endswith("Mr.") for a, b in split_text(text, 8))


def test_a_heading_stays_with_what_it_heads() -> None:
    rows = "\n".join(f"Row {n} 1 2 3" for n in range(4))
    text = f"{rows}\n\nNet sales\n\n{rows}"
    _, second = (text[a:b] for a, b in split_text(text, 20))
    assert second.startswith("Net sales")


def test_lines_of_a_table_stay_whole() -> None:
    rows = [f"Net sales {n} 100 200 300" for n in range(20)]
    text = "\n".join(rows)
    for start, end in split_text(text, 30):
        assert set(text[start:end].split("\n")) <= set(rows)


def test_a_run_without_spaces_is_cut_too() -> None:
    spans = split_text("x" * 100_000, 180)
    assert max(end - start for start, end in spans) <= 1.5 * 180 * 40 + 40
    cjk = split_text("本" * 1000, 180)
    assert max(end - start for start, end in cjk) <= 1.5 * 180
    thai = split_text("ภาษาไทย" * 1000, 180)
    assert max(end - start for start, end in thai) <= 1.5 * 180 * 4


def test_blank_pages_have_no_passage() -> None:
    assert [p.page for p in cut_passages(document(["", "  \n ", "text"]))] == [3]


@given(st.integers(1, 3000))
def test_a_passage_has_at_most_three_windows(count: int) -> None:
    text = " ".join(["word"] * count)
    windows = cut_windows(text)
    assert 1 <= len(windows) <= WINDOWS
    assert (windows[0][0], windows[-1][1]) == (0, len(text))


def test_blank_text_has_no_window() -> None:
    assert cut_windows(" \n") == []
