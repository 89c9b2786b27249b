"""Question sets: ours and the published ones, and one clear sentence about what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sharedcli.errors import UnreadableError, UsageError
from sharedcli.evaluation.formats import read_items
from sharedcli.evaluation.items import Item

LONGBENCH = {
    "input": "Who wrote it?",
    "context": "Ann wrote it.",
    "answers": ["Ann", "Ann Lee"],
    "length": 3,
    "dataset": "hotpotqa",
    "language": "en",
    "all_classes": None,
    "_id": "1",
}
LEVAL = {
    "instructions": ["Who?\nA. Ann\nB. Bob", "When?"],
    "outputs": ["A", "in May"],
    "input": "Ann came in May.",
    "source": "x",
    "evaluation": "exam",
}
INFINITE = {
    "id": 0,
    "context": "key 71432",
    "input": "The key?",
    "answer": ["71432"],
    "options": [],
}
BAMBOO = {
    "question": "Who?",
    "evidence": "Ann",
    "options": ["A. Bob", "B. Ann", "C. Cy", "D. Di"],
    "answer": "B",
    "content": "Ann came.",
}


def _write(folder: Path, name: str, *rows: Any) -> Path:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _one(folder: Path, name: str, row: Any) -> Item:
    items = read_items([_write(folder, name, row)]).items
    assert len(items) == 1
    return items[0]


def test_ours(tmp_path: Path) -> None:
    pairs = [
        {"question": "Who?", "answers": ["Ann"]},
        {"question": "What?", "answers": ["tea"], "choices": ["tea", "wine"]},
        {"question": "Why?", "answers": []},
    ]
    items = read_items([_write(tmp_path, "mine", {"context": "Ann drank tea.", "qa": pairs})]).items
    assert [item.id for item in items] == ["mine:1/0", "mine:1/1", "mine:1/2"]
    assert len({item.group for item in items}) == 1
    assert items[0].score("ann")["f1"] == 1
    assert (items[1].options, items[1].answers) == (("tea", "wine"), ("A",))
    assert items[1].score("B") == {"accuracy": 0.0}
    assert [item.answerable for item in items] == [True, True, False]


def test_one_question_a_line_with_a_file(tmp_path: Path) -> None:
    evidence = [{"page_index": 3, "text": "x"}]
    row = {"file": "a.pdf", "question": "Q?", "answer": "yes", "evidence": evidence}
    with pytest.raises(UnreadableError, match=r"pdf.jsonl, line 1: there is no file a.pdf"):
        _one(tmp_path, "pdf", row)
    (tmp_path / "a.pdf").touch()
    item = _one(tmp_path, "pdf", row)
    assert item.path == tmp_path / "a.pdf"
    assert _one(tmp_path, "pdf2", {**row, "file": str(tmp_path / "a.pdf")}).path == item.path
    assert (item.evidence, item.answers) == (((3, "x"),), ("yes",))


def test_longbench(tmp_path: Path) -> None:
    item = _one(tmp_path, "any", LONGBENCH)
    assert (item.question, item.answers) == ("Who wrote it?", ("Ann", "Ann Lee"))
    assert item.score("It was Ann Lee")["f1"] == pytest.approx(2 * 0.5 * 1 / 1.5)
    summary = _one(tmp_path, "gov", {**LONGBENCH, "input": "", "dataset": "gov_report"})
    assert (summary.scores, summary.question) == (
        ("rouge_l:longbench",),
        "Write a summary of the text.",
    )
    classes = {
        **LONGBENCH,
        "dataset": "trec",
        "answers": ["Date"],
        "all_classes": ["Date", "Other"],
    }
    assert _one(tmp_path, "trec", classes).score("Date\nOther") == {"accuracy": 1.0}
    few = {**LONGBENCH, "dataset": "triviaqa"}
    assert _one(tmp_path, "trivia", few).score("Ann\nPassage: more") == {"f1": 1.0}
    with pytest.raises(UsageError, match="Chinese"):
        _one(tmp_path, "zh", {**LONGBENCH, "dataset": "dureader", "language": "zh"})


def test_longbench_2(tmp_path: Path) -> None:
    row = {"context": "c", "question": "q", "answer": "C"} | {f"choice_{x}": x * 2 for x in "ABCD"}
    item = _one(tmp_path, "v2", row)
    assert (item.answers, item.options[2]) == (("C",), "CC")


def test_leval(tmp_path: Path) -> None:
    items = read_items([_write(tmp_path, "quality", LEVAL)]).items
    assert [item.scores for item in items] == [("exact_match:letters",), ("exact_match:leval",)]
    assert items[0].score("A. Ann") == {"exact_match": 1.0}
    gsm = _one(
        tmp_path, "gsm100", {**LEVAL, "instructions": ["?"], "outputs": ["The answer is 18"]}
    )
    assert gsm.score("so 3 times 6 is 18") == {"exact_match": 1.0}
    with pytest.raises(UsageError, match=r"line 1: the field 'outputs' must be as long as"):
        read_items([_write(tmp_path, "bad", {**LEVAL, "outputs": ["A"]})])


def test_infinitebench(tmp_path: Path) -> None:
    item = _one(tmp_path, "passkey", INFINITE)
    assert item.score("The key is 71432.") == {"accuracy": 1.0}
    row = {**INFINITE, "answer": ["green"], "options": ["red", "green", "blue", "grey"]}
    choice = _one(tmp_path, "longbook_choice_eng", row)
    assert (choice.answers, choice.score("B")) == (("B",), {"accuracy": 1.0})
    sums = {**INFINITE, "answer": [1, 3, 6]}
    assert _one(tmp_path, "math_calc", sums).score("[1, 3, 7]")["accuracy"] == pytest.approx(
        2 / 3, abs=1e-6
    )


def test_bamboo(tmp_path: Path) -> None:
    item = _one(tmp_path, "paperqa", BAMBOO)
    assert (item.options[1], item.answers) == ("Ann", ("B",))
    text = "Answer.\n\nDocument:\nBorn in 1964.\n\nQuestion:\nwhen?\n"
    number = _one(tmp_path, "altqa", {"content": text, "answer": "1964"})
    assert (number.question, number.context.strip()) == ("when?", "Born in 1964.")
    assert number.score("1964.") == {"accuracy": 1.0, "contains": 1.0}
    turned = "Answer.\n\nQuestion:\nwhen?\n\nDocument:\n Born in 1964.\n"
    other = _one(tmp_path, "altqa2", {"content": turned, "answer": "1964"})
    assert (other.question, other.context.strip()) == ("when?", "Born in 1964.")
    claim = {"content": "c", "hypothesis": "h", "answer": False}
    assert _one(tmp_path, "senhallu", claim).answers == ("B",)


def test_broken_published_questions_are_counted(tmp_path: Path) -> None:
    broken = {**BAMBOO, "options": ["only the evidence"]}
    found = read_items([_write(tmp_path, "paperqa", BAMBOO, broken, {**BAMBOO, "answer": "E"})])
    assert len(found.items) == 1
    assert found.unusable == {"paperqa.jsonl": [2, 3]}
    assert "2 questions" in found.notes[0]
    with pytest.raises(UsageError, match="no usable question"):
        read_items([_write(tmp_path, "none", broken)])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("not json\n", r"set.jsonl, line 1: not JSON"),
        ("[1]\n", r"entry 1: not a JSON object"),
        ("[{]\n", r"set.jsonl: not JSON"),
        ('{"a": 1}\n', r"line 1: no question set that sharedcli knows \(fields: a\)"),
        (json.dumps(LONGBENCH) + "\n" + json.dumps({"input": "x", "context": "y"}), "'answers'"),
        (json.dumps({k: v for k, v in BAMBOO.items() if k != "answer"}), "'answer' is missing"),
        (json.dumps({**BAMBOO, "options": 3}), "'options' must be a list of texts"),
        (json.dumps({"context": [3], "qa": [{"question": "q", "answers": []}]}), "must be a text"),
        (json.dumps({"context": "c", "qa": [{"answers": ["a"]}]}), "'question' is missing"),
        (json.dumps({"context": "c", "qa": [{"question": "q"}]}), "'answers' is missing"),
        (json.dumps({"context": "c", "qa": ["q"]}), "'qa' must be a list of objects"),
        ("", "no usable question"),
    ],
)
def test_one_clear_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "set.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=sentence):
        read_items([path])


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match=r"nothere\.jsonl cannot be read"):
        read_items([tmp_path / "nothere.jsonl"])
    with pytest.raises(UnreadableError, match="is a folder"):
        read_items([tmp_path])
    (tmp_path / "bytes.jsonl").write_bytes(b"\xff\xfe\x00\x01\n")
    with pytest.raises(UsageError, match="line 1: not JSON"):
        read_items([tmp_path / "bytes.jsonl"])


def test_two_files_of_one_name_would_share_records(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    first, second = _write(tmp_path, "same", BAMBOO), _write(tmp_path / "b", "same", BAMBOO)
    with pytest.raises(UsageError, match="have the same name"):
        read_items([first, second])


@pytest.mark.parametrize(
    "answers",
    [
        "Ann",
        ["Ann"],
        [["Ann"], None, ""],
        {"text": ["Ann"], "answer_start": [4]},
        [{"text": "Ann"}],
    ],
)
def test_references_come_in_many_shapes(tmp_path: Path, answers: Any) -> None:
    for row in (
        {**LONGBENCH, "answers": answers},
        {"context": "c", "question": "q", "answers": answers},
    ):
        assert _one(tmp_path, "set", row).answers == ("Ann",)


@pytest.mark.parametrize(
    "choices",
    [
        ["tea", "wine"],
        ["A. tea", "B. wine"],
        ["(A) tea", "(B) wine"],
        {"A": "tea", "B": "wine"},
        [{"label": "A", "text": "tea"}, {"label": "B", "text": "wine"}],
        "A. tea\nB. wine",
    ],
)
@pytest.mark.parametrize("answer", ["wine", "B", ["B"], "B. wine"])
def test_choices_come_in_many_shapes(tmp_path: Path, choices: Any, answer: Any) -> None:
    row = {"context": "c", "question": "q", "answers": answer, "choices": choices, "more": 1}
    item = _one(tmp_path, "set", row)
    assert (item.options, item.answers) == (("tea", "wine"), ("B",))


def test_an_array_is_read_like_lines(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    second = {**LONGBENCH, "context": ["One.", "Two."], "_id": "b7"}
    path.write_text(json.dumps([LONGBENCH, second], indent=1), encoding="utf-8")
    items = read_items([path]).items
    assert [item.name for item in items] == ["1", "b7"]
    assert items[1].context == "One.\n\nTwo."
    path.write_text(json.dumps([LONGBENCH, {"input": "x"}]), encoding="utf-8")
    with pytest.raises(UsageError, match="entry 2: the field 'context' is missing"):
        read_items([path])


def test_a_limit_ends_the_reading(tmp_path: Path) -> None:
    path = _write(tmp_path, "set", LONGBENCH, LONGBENCH, "no object")
    assert len(read_items([path], limit=2).items) == 2
    with pytest.raises(UsageError, match="line 3"):
        read_items([path])


def test_tasks_of_infinitebench_by_file_name(tmp_path: Path) -> None:
    retrieval = _one(tmp_path, "kv_retrieval", {**INFINITE, "answer": "c3-b2"})
    assert retrieval.score("It is c3-b2.") == {"accuracy": 1.0}
    row = {**INFINITE, "answer": ["ANN", "ANN LEE"], "input": ""}
    assert "MASK" in _one(tmp_path, "longdialogue_qa_eng", row).question
    sums = _one(tmp_path, "math_calc2", {**INFINITE, "answer": [1, 1, 2], "input": ""})
    assert sums.score("1 1 2") == {"accuracy": 1.0}
    code = {**INFINITE, "answer": ["f2"], "options": ["f1", "f2", "f3", "f4"]}
    assert _one(tmp_path, "code_debug", code).answers == ("B",)
    assert _one(tmp_path, "code_run", {**INFINITE, "answer": -7}).score("-7.") == {"accuracy": 1.0}


def test_longbench_e_is_longbench(tmp_path: Path) -> None:
    row = {**LONGBENCH, "dataset": "samsum_e"}
    assert _one(tmp_path, "samsum_e", row).scores == ("rouge_l:first_line",)
    assert _one(tmp_path, "samsum_e2", {**row, "dataset": "qmsum"}).max_tokens == 512
