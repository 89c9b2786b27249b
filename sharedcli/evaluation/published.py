"""The fields and metrics of published sets: LongBench, L-Eval, InfiniteBench, BAMBOO.

Metrics follow the sets' own evaluation scripts; where one cannot be had, a close one is named in
``docs/reference/evaluation.md``. Prompts are ours, the same for every method: figures compare
methods, and are not those of a leaderboard.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sharedcli.errors import UsageError
from sharedcli.evaluation.items import FREE, Item, texts
from sharedcli.evaluation.rows import Row, choice

_SHORT = "Answer with as few words as possible."
_SUMMARY = "Write a summary of the text."

# dataset: scores, the question where the set has none, tokens of the answer (the sets' own)
_LONGBENCH: dict[str, tuple[tuple[str, ...], str, int]] = {
    **dict.fromkeys(("qasper", "narrativeqa"), (FREE, "", 128)),
    **dict.fromkeys(("hotpotqa", "2wikimqa", "musique"), (FREE, "", 32)),
    "multifieldqa_en": (FREE, "", 64),
    "triviaqa": (("f1:first_line",), "", 32),
    "samsum": (("rouge_l:first_line",), "", 128),
    "gov_report": (("rouge_l:longbench",), _SUMMARY, 512),
    "qmsum": (("rouge_l:longbench",), "", 512),
    "multi_news": (("rouge_l:longbench",), _SUMMARY, 512),
    "trec": (("accuracy:classes",), "", 64),
    "passage_count": (
        ("accuracy:number_share",),
        "How many different paragraphs are there? Give the number only.",
        32,
    ),
    "passage_retrieval_en": (
        ("accuracy:number_share",),
        'Which paragraph is this the abstract of? Answer like "Paragraph 1".',
        32,
    ),
    "lcc": (("edit_similarity:longbench",), "Write the next line of the code.", 64),
    "repobench-p": (("edit_similarity:longbench",), "Write the next line of the code.", 64),
}
_BEHIND = ("passage_retrieval_en", "repobench-p")
"""Sets whose input is no question: ours stands behind it."""

_CHINESE = ("multifieldqa_zh", "dureader", "vcsum", "lsht", "passage_retrieval_zh")

# task: scores, the question where the set has none, tokens of the answer
_INFINITE: dict[str, tuple[tuple[str, ...], str, int]] = {
    "passkey": (("accuracy:first_number",), "What is the pass key?", 6),
    "number_string": (("accuracy:first_number",), "What is the sequence of digits?", 12),
    "kv_retrieval": (("accuracy:word",), "", 50),
    "longbook_qa_eng": (("f1", "exact_match"), "", 40),
    "longbook_qa_chn": (("f1:characters",), "", 40),
    "longbook_sum_eng": (("rouge_l:infinitebench",), _SUMMARY, 1200),
    "longdialogue_qa_eng": (
        ("accuracy:name", "contains"),
        'Which character is "$$MASK$$"? Give the name only.',
        40,
    ),
    "math_find": (("accuracy:first_value",), "", 8),
    "math_calc": (
        ("accuracy:number_prefix",),
        "Give the value after each operation, as a list of numbers.",
        1200,
    ),
    "code_run": (("accuracy:last_number",), "", 16),
}


def longbench(row: Row) -> Iterator[Item]:
    """LongBench (Bai et al., arXiv 2308.14508)."""
    name = str(row.data.get("dataset") or row.path.stem).removesuffix("_e")
    if name in _CHINESE or row.data.get("language") == "zh":
        raise UsageError(
            f"{row.where}: {name} is Chinese, and its metric needs a word segmenter that sharedcli "
            "does not have; give an English set"
        )
    scores, question, tokens = _LONGBENCH.get(name, (FREE, "", 128))
    context = row.text("context")
    answers = texts(row.data["answers"])
    if not answers:
        raise row.wrong("answers", "a text or a list of texts")
    asked = row.get("input", str).strip()
    if name in _BEHIND:
        asked = f"{asked}\n{question}"
    yield Item(
        id=row.id,
        name=row.name,
        group=row.text_group(context),
        context=context,
        question=asked or question or "What does the text say?",
        answers=answers,
        scores=scores,
        classes=texts(row.data.get("all_classes") or []) or (),
        hint=_SHORT if scores == FREE else "",
        max_tokens=tokens,
        dataset=name,
    )


def longbench2(row: Row) -> Iterator[Item]:
    """LongBench v2 (arXiv 2412.15204): multiple choice."""
    context = row.text("context")
    options = [row.get(f"choice_{letter}", str) for letter in "ABCD"]
    yield choice(
        row,
        row.get("question", str),
        options,
        [row.get("answer", str)],
        id=row.id,
        name=row.name,
        group=row.text_group(context),
        context=context,
    )


def leval(row: Row) -> Iterator[Item]:
    """L-Eval (An et al., arXiv 2307.11088): several instructions about one document."""
    document = row.text("input")
    instructions, outputs = (
        [found] if isinstance(found := row.data[key], str) else row.get(key, list)
        for key in ("instructions", "outputs")
    )
    if len(instructions) != len(outputs):
        raise row.wrong("outputs", f"as long as instructions ({len(instructions)})")
    kind = str(row.data.get("evaluation", ""))
    for number, (question, output) in enumerate(zip(instructions, outputs, strict=True)):
        answers = texts(output)
        if not isinstance(question, str) or not answers:
            raise row.wrong("instructions", "a list of texts, outputs likewise")
        scores, hint, tokens = _leval_scores(row.path.stem, kind, answers[0])
        yield Item(
            id=f"{row.id}/{number}",
            name=row.name,
            group=row.text_group(document),
            context=document,
            question=question,
            answers=answers,
            scores=scores,
            hint=hint,
            max_tokens=tokens,
            dataset=row.path.stem,
        )


def _leval_scores(name: str, kind: str, answer: str) -> tuple[tuple[str, ...], str, int | None]:
    if kind == "exam":
        first = (answer.split() or [""])[0].strip(".)")
        if "gsm" in name:
            return ("exact_match:arithmetic",), "", 256
        if "sci_fi" in name or "[fact:" in answer.lower():
            return ("exact_match:truths",), "", 16
        if "codeu" in name.lower():
            return ("exact_match:code_output",), "", 64
        if first and set(first) <= set("ABCDE"):
            several = "coursera" in name
            score = "exact_match:several_letters" if several else "exact_match:letters"
            return (score,), "Answer with the letter or letters only.", 8
        return ("exact_match:leval",), _SHORT, 64
    if kind == "rouge":
        return ("rouge_l", "rouge_1", "rouge_2"), "", 512
    if kind in ("LLM", "human"):  # meant for a judge; what can be computed is a stand-in
        return ("rouge_l", "f1"), "", 256
    return FREE, _SHORT, 64


def infinitebench(row: Row) -> Iterator[Item]:
    """InfiniteBench (Zhang et al., arXiv 2402.13718). The file's name tells the task."""
    name = row.path.stem.lower()
    context = row.text("context")
    base: dict[str, Any] = {
        "id": row.id,
        "name": row.name,
        "group": row.text_group(context),
        "context": context,
    }
    answers = texts(row.data["answer"])
    if not answers:
        raise row.wrong("answer", "a text, a number or a list of them")
    question = row.get("input", str)
    if options := row.data.get("options"):
        question = question or "Which option is right?"
        yield choice(row, question, options, answers[:1], **base)
        return
    task = next((task for task in _INFINITE if task in name), None)
    scores, asked, tokens = _INFINITE[task] if task else (FREE, "", 64)
    if task == "math_calc":
        answers = (" ".join(_numbers(row)),)
    if task == "longdialogue_qa_eng":
        answers = answers[:1]  # as the set's own script
    yield Item(
        question=question or asked or "What does the text say?",
        answers=answers,
        scores=scores,
        hint=_SHORT if scores == FREE or "f1" in scores else "",
        max_tokens=tokens,
        dataset=task or row.path.stem,
        **base,
    )


def _numbers(row: Row) -> list[str]:
    """All numbers of a reference, repeated ones too."""
    value = row.data["answer"]
    while isinstance(value, list) and value and isinstance(value[0], list):
        value = value[0]
    numbers = value if isinstance(value, list) else [value]
    try:
        return [str(int(number)) for number in numbers]
    except (TypeError, ValueError):
        raise row.wrong("answer", "a list of numbers") from None


def bamboo(row: Row) -> Iterator[Item]:
    """BAMBOO (Dong et al., arXiv 2309.13345): questions, numbers, predictions, hallucinations."""
    context = row.text("content")
    base: dict[str, Any] = {"id": row.id, "name": row.name, "group": row.text_group(context)}
    answers = texts(row.data["answer"])
    if not answers:
        raise UsageError(
            f"{row.where}: answers of this kind (code or orderings) are not scored by sharedcli; "
            "give paperqa, meetingqa, altqa, meetingpred, showspred, senhallu or abshallu"
        )
    if options := row.data.get("options"):
        yield choice(row, row.get("question", str), options, answers, context=context, **base)
        return
    if "hypothesis" in row.data:
        claim = row.get("hypothesis", str)
        question = f"Is this claim supported by the text? Claim: {claim}"
        reply = "yes" if row.data["answer"] in (True, "true", "True", "yes") else "no"
        yield choice(row, question, ["yes", "no"], [reply], context=context, **base)
        return
    if isinstance(row.data["answer"], list):
        raise UsageError(
            f"{row.where}: orderings are not scored by sharedcli; give another BAMBOO task"
        )
    question = str(row.data.get("question") or "")
    number = not question and "Question:" in context and "Document:" in context
    if number:
        context, question = _altqa(context)
    yield Item(
        context=context,
        question=question.strip() or "Who says the next line?",
        answers=answers,
        scores=("accuracy:stripped" if number else "accuracy:first_line", "contains"),
        hint="The answer is a number: give the number only." if number else "Give the name only.",
        max_tokens=16,
        dataset=row.path.stem,
        **base,
    )


def _altqa(content: str) -> tuple[str, str]:
    """Document and question of one text that holds both, in either order, after an instruction."""
    ask, read = content.rfind("\nQuestion:"), content.find("Document:")
    if ask < read:
        question, _, document = content[max(ask, 0) :].partition("Document:")
        return document, question.partition("Question:")[2]
    return content[read:ask].partition("Document:")[2], content[ask:].partition("Question:")[2]
