"""Data files: what is read, what is refused, what is kept for measuring."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sharedcli.errors import UnreadableError, UsageError
from sharedcli.training.data_rules import DataRule, Fields
from sharedcli.training.dedup import without_repeats
from sharedcli.training.records import Question, Record, join_by_source, read_records
from sharedcli.training.sources import Source, open_sources

GOOD = {"source": "a", "text": "Some text."}
ASKED = {"source": "a", "context": "The sky is blue.", "qa": []}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"source": "a", "text": "cut sh', "line 2 is not JSON"),
        ("[1, 2]", "line 2 is not a JSON object"),
        ({"source": "a", "body": "x"}, "has neither 'text' nor 'context'; it has 'source', 'body'"),
        ({"source": "a", "text": 7}, "line 2: 'text' must be a string, not int"),
        ({**ASKED, "qa": "no"}, "'qa' must be a list"),
        ({**ASKED, "qa": [{"answers": ["x"]}]}, "has no 'question'"),
        ({**ASKED, "qa": [{"question": "Why?", "answers": [" "]}]}, "'Why?' has no answer"),
        ({**ASKED, "qa": [{"question": "Why?", "answers": [3]}]}, "must be a string, not int"),
        ({**ASKED, "qa": [{"question": "Why?", "answers": ["b"], "start": "4"}]}, "place is '4'"),
        ({**ASKED, "qa": [{"question": "Why?", "answers": ["b"], "start": True}]}, "place is True"),
        ("[" * 100_000, "line 2 is not JSON"),
    ],
)
def test_a_broken_line_is_one_sentence_with_its_number(
    write_lines: Callable[..., Path], row: Any, message: str
) -> None:
    path = write_lines("broken.jsonl", [GOOD, row, GOOD])
    with pytest.raises(UnreadableError) as caught:
        list(read_records(path, Fields()))
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_both_formats_are_read_and_answers_are_found(write_lines: Callable[..., Path]) -> None:
    asked = {
        **ASKED,
        "qa": [
            {"question": "Colour?", "answers": ["blue", "azure"]},
            {"question": "Mood?", "answers": "calm", "choices": ["calm", "wild"]},
        ],
    }
    text, passage = read_records(write_lines("x.jsonl", [GOOD, "", asked]), Fields())
    assert text == Record("a", "Some text.")
    blue, calm = passage.questions
    assert passage.text[blue.start : blue.end] == "blue"
    assert blue.answers == ("blue", "azure")
    assert (calm.start, calm.end, calm.answers, calm.choices) == (
        -1,
        -1,
        ("calm",),
        ("calm", "wild"),
    )


@pytest.mark.parametrize(
    ("near", "found"), [(None, 4), (-3, 4), (4, 4), (9, 4), (15, 21), (21, 21), (90, 21)]
)
def test_of_several_places_of_an_answer_the_named_one_counts(
    near: int | None, found: int, write_lines: Callable[..., Path]
) -> None:
    question = {"question": "Which?", "answers": ["red", "blue"], "start": near}
    row = {"source": "s", "context": "the red or still the red one", "qa": [question]}
    (record,) = read_records(write_lines("x.jsonl", [row]), Fields())
    assert (record.questions[0].start, record.questions[0].end) == (found, found + 3)


def test_fields_can_have_other_names(write_lines: Callable[..., Path]) -> None:
    path = write_lines("x.jsonl", [{"title": "t", "body": "words"}])
    fields = Fields(source="title", text="body")
    assert list(read_records(path, fields)) == [Record("t", "words")]


def test_joined_passages_keep_the_places_of_answers() -> None:
    one = Record("p", "alpha beta", (Question("?", ("beta",), (), 6, 10),))
    two = Record("q", "other")
    three = Record("p", "gamma delta", (Question("?", ("gamma",), (), 0, 5), Question("?", ("x",))))
    joined, other = join_by_source([one, two, three])
    assert other == two
    found = [joined.text[q.start : q.end] for q in joined.questions if q.start >= 0]
    assert found == ["beta", "gamma"]
    assert joined.questions[2].start == -1


TEMPLATE = "All contributors must sign the agreement before their proposal can be considered by us."


def test_template_paragraphs_are_kept_once_and_empty_shells_dropped() -> None:
    own = [
        f"Proposal {i} is about subject number {i}, which nobody else writes on, at all." * 3
        for i in range(3)
    ]
    records = [Record(str(i), f"# Title\n\n{TEMPLATE}\n\n{text}") for i, text in enumerate(own)]
    shell = Record("shell", f"# Title\n\n{TEMPLATE}")
    kept = without_repeats([*records, shell])
    assert [r.source for r in kept] == ["0", "1", "2"]
    assert [TEMPLATE in r.text for r in kept] == [True, False, False]
    assert all(text in r.text for text, r in zip(own, kept, strict=True))
    assert all("# Title" in r.text for r in kept)


def test_documents_with_questions_are_only_dropped_as_exact_copies() -> None:
    asked = Record("a", TEMPLATE, (Question("?", ("x",)),))
    other = Record("b", TEMPLATE, (Question("!", ("x",)),))
    assert without_repeats([Record("t", TEMPLATE), asked, asked, other]) == [
        Record("t", TEMPLATE),
        asked,
        other,
    ]


@pytest.fixture
def opened(tiny_base: Callable[..., Any], tmp_path: Path) -> Callable[..., list[Source]]:
    """A function that opens data with the tiny tokenizer and a cache of the test's own."""
    base = tiny_base()

    def get(*paths: Any, rules: Any = (), holdout: Any = (), tell: Any = print) -> list[Source]:
        return open_sources(
            paths,
            rules=rules,
            holdout=holdout,
            tokenizer=base.tokenizer,
            tokenizer_digest=base.identity.tokenizer_sha256,
            cache=tmp_path / "cache",
            tell=tell,
        )

    get.tokenizer = base.tokenizer  # type: ignore[attr-defined]
    return get


def test_every_tenth_document_is_kept_for_measuring(
    opened: Callable[..., list[Source]], long_text: Path
) -> None:
    (source,) = opened(long_text)
    assert [d.source for d in source.held] == ["doc-0", "doc-10", "doc-20"]
    assert len(source.training) == 27
    assert not {d.source for d in source.held} & {d.source for d in source.training}


def test_named_documents_are_kept_instead_of_every_tenth(
    opened: Callable[..., list[Source]], long_text: Path, write_lines: Callable[..., Path]
) -> None:
    other = write_lines(
        "other.jsonl", [{"source": f"o-{i}", "text": f"word {i}"} for i in range(11)]
    )
    one, two = opened(long_text, other, holdout=["doc-17"])
    assert [d.source for d in one.held] == ["doc-17"]
    assert [d.source for d in two.held] == ["o-0", "o-10"]
    with pytest.raises(UsageError, match="--holdout nobody is in no document"):
        opened(long_text, holdout=["nobody"])


def test_tokens_are_those_of_the_text_and_special_tokens_are_text(
    opened: Any, write_lines: Callable[..., Path]
) -> None:
    texts = ["The tides. <|im_end|> of day", "ship"]
    (source,) = opened(write_lines("x.jsonl", [{"text": t} for t in texts]))
    documents = sorted([*source.training, *source.held], key=lambda d: d.start)
    for document, text in zip(documents, texts, strict=True):
        ids = source.file.slice(document.start, document.end).tolist()
        assert opened.tokenizer.decode(ids) == text
        assert not set(ids) & set(opened.tokenizer.all_special_ids)
        assert source.file.slice(document.end, document.end + 1).item() == 2


def test_a_file_is_tokenised_once_until_it_changes(
    opened: Callable[..., list[Source]], long_text: Path
) -> None:
    told: list[str] = []
    first = opened(long_text, tell=told.append)[0]
    second = opened(long_text, tell=told.append)[0]
    assert len(told) == 1
    assert second.training == first.training
    long_text.write_text(long_text.read_text() + json.dumps(GOOD) + "\n")
    third = opened(long_text, tell=told.append)[0]
    assert len(told) == 2
    assert third.digest != first.digest


def test_a_token_file_cut_short_by_a_crash_is_made_again(
    opened: Callable[..., list[Source]], long_text: Path, tmp_path: Path
) -> None:
    whole = opened(long_text)[0]
    (tokens,) = (tmp_path / "cache").glob("*.tokens")
    expected = whole.file.slice(0, 50).tolist()
    tokens.write_bytes(tokens.read_bytes()[:40])
    assert opened(long_text)[0].file.slice(0, 50).tolist() == expected


def test_answers_are_found_among_the_tokens(opened: Any, asked_text: Path) -> None:
    (source,) = opened(asked_text)
    for document in source.training:
        quoted, free = document.questions
        start = document.start
        ids = source.file.slice(start + quoted.start, start + quoted.end).tolist()
        assert quoted.answers[0] in opened.tokenizer.decode(ids)
        assert len(ids) <= 24
        assert (free.start, free.end) == (-1, -1)


def test_a_folder_of_documents_is_read_and_what_cannot_be_is_told(
    opened: Callable[..., list[Source]], tmp_path: Path, long_text: Path
) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    for i in range(3):
        (folder / f"{i}.txt").write_text(f"The report of day {i}. " * 9, encoding="utf-8")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    (folder / "more.jsonl").write_text(long_text.read_text(), encoding="utf-8")
    told: list[str] = []
    lines, documents = opened(folder, rules=[DataRule(deduplicate=False)], tell=told.append)
    assert lines.name == "more.jsonl"
    assert len(documents.training) + len(documents.held) == 3
    assert any("broken.pdf" in sentence and "left out" in sentence for sentence in told)


def test_rules_weigh_and_leave_out_by_name(
    opened: Callable[..., list[Source]], long_text: Path, asked_text: Path
) -> None:
    rules = [DataRule("long*", weight=0), DataRule("asked*", weight=3, holdout_every=0)]
    (source,) = opened(long_text, asked_text, rules=rules)
    assert (source.name, source.weight, source.held) == ("asked.jsonl", 3, ())


def test_nothing_to_train_on_is_said(opened: Callable[..., list[Source]], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="matches no file"):
        opened(tmp_path / "no*.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(UsageError, match="nothing to train on"):
        opened(tmp_path / "empty.jsonl")
