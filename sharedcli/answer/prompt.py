"""The running text of a question: instruction, verbatim passages, question.

Notable choices:
- The model's own chat template frames the conversation. Its special tokens are parsed only in the
  frame; everything that comes from documents or the user is tokenised as plain text, so a document
  cannot open or close a turn.
- The most relevant passage stands last, next to the question, and passages have no headings unless
  they are from several documents: small models repeat headings, and read best what is near.
- What does not fit the window is left out from the back: the least relevant passage first, then
  words of the last one that is left.

It knows tokenizers, not models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sharedcli.errors import UsageError
from sharedcli.ingest.sanitise import sanitise
from sharedcli.model.tokens import tokenize_text

INSTRUCTION = "Answer the question from the given text. Be brief."
_MARK = "\ue000"  # private use: cannot come from a template, and document text has none
_LEAST_PASSAGE_TOKENS = 24
HISTORY_SHARE = 0.5
"""Of the decoder's window that earlier turns may take."""


@dataclass(frozen=True)
class Excerpt:
    """A verbatim passage for the prompt.

    Attributes:
        name: of its document, shown where there are several.
        text: as it stands there.
        before: what stands on its page before, where a table that goes on has its head; not shown.
        called: what a question may call the document; not shown.
    """

    name: str
    text: str
    before: str = ""
    called: str = ""


@dataclass(frozen=True)
class Prompt:
    """Token ids ready for the decoder.

    ``excerpts`` of the given ones are in it (the first), and ``turns`` of the history (the last).
    """

    tokens: list[int]
    excerpts: int
    turns: int = 0


def build_prompt(
    tokenizer: Any,
    question: str,
    excerpts: Sequence[Excerpt],
    limit: int,
    history: Sequence[tuple[str, str]] = (),
) -> Prompt:
    """Compose the prompt within ``limit`` tokens.

    Args:
        tokenizer: a fast tokenizer, with or without a chat template.
        question: as typed.
        excerpts: most relevant first.
        limit: tokens at most.
        history: earlier (question, answer) turns, oldest first. The oldest are left out where
            all would take more than ``HISTORY_SHARE`` of the limit.

    Raises:
        UsageError: the question alone does not fit.
    """
    alone = _plain(tokenizer, _question(question, with_excerpts=False))
    share = min(round(limit * HISTORY_SHARE), limit - len(alone))
    history = recent_turns(tokenizer, history, share)
    head, tail = _frame(tokenizer, history)
    needed = len(head) + len(tail) + len(alone)
    if needed > limit:
        raise UsageError(
            f"the question needs {needed} tokens, the model's window leaves {limit}; "
            "ask a shorter question or lower --max-tokens"
        )
    closing = _plain(tokenizer, _question(question, with_excerpts=True))
    room = limit - len(head) - len(tail) - len(closing)
    several = len({excerpt.name for excerpt in excerpts}) > 1
    parts: list[list[int]] = []
    for excerpt in excerpts:
        heading = f"From {excerpt.name}:\n" if several else ""
        tokens = _plain(tokenizer, f"{heading}{excerpt.text.strip()}\n\n")
        left = room - sum(map(len, parts))
        if len(tokens) <= left:
            parts.append(tokens)
            continue
        if left >= _LEAST_PASSAGE_TOKENS:
            parts.append([*tokens[: left - 2], *_plain(tokenizer, "\n\n")[:2]])
        break
    if not parts:  # the question must not speak of a text that is not there
        closing = alone
    body = [token for part in reversed(parts) for token in part]
    return Prompt([*head, *body, *closing, *tail], len(parts), len(history))


def recent_turns(
    tokenizer: Any, history: Sequence[tuple[str, str]], limit: int
) -> list[tuple[str, str]]:
    """Return the last turns whose frame fits ``limit`` tokens, oldest first."""
    kept = list(history)
    while kept and sum(map(len, _frame(tokenizer, kept))) > limit:
        del kept[0]
    return kept


def _question(question: str, *, with_excerpts: bool) -> str:
    above = " from the text above" if with_excerpts else ""
    return f"Answer this question with a short sentence{above}.\nQuestion: {question.strip()}"


def _frame(tokenizer: Any, history: Sequence[tuple[str, str]]) -> tuple[list[int], list[int]]:
    """Tokens before and after the user's text."""
    if not getattr(tokenizer, "chat_template", None):
        before = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
        past = "".join(f"Question: {q}\nAnswer: {a}\n\n" for q, a in history)
        lead = _plain(tokenizer, f"{INSTRUCTION}\n\n{past}")
        return [*before, *lead], _plain(tokenizer, "\nAnswer:")
    messages = [{"role": "system", "content": INSTRUCTION}]
    contents: list[str] = []
    for question, answer in history:
        for role, content in (("user", question), ("assistant", answer)):
            messages.append({"role": role, "content": _MARK})
            contents.append(content)
    messages.append({"role": "user", "content": _MARK})
    rendered = _render(tokenizer, messages)
    pieces = rendered.split(_MARK)
    if len(pieces) != len(contents) + 2:
        raise UsageError(
            "the model's chat template does not show each message once; use another model"
        )
    head = _framing(tokenizer, pieces[0])
    for content, piece in zip(contents, pieces[1:], strict=False):
        head += [*_plain(tokenizer, content), *_framing(tokenizer, piece)]
    return head, _framing(tokenizer, pieces[-1])


def _render(tokenizer: Any, messages: list[dict[str, str]]) -> str:
    """Fill the template; without a place for the instruction, the first user message has it."""
    system = messages[0]["role"] == "system"
    text = ""
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except Exception as error:  # templates raise what they like, e.g. about system messages
        if not system:
            raise UsageError(f"the model's chat template fails: {error}") from error
    if system and messages[0]["content"] not in text:  # it raised, or left it out without a word
        rest = messages[1:]
        first = {"role": "user", "content": f"{messages[0]['content']}\n\n{rest[0]['content']}"}
        return _render(tokenizer, [first, *rest[1:]])
    return str(text)


def _framing(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []


def _plain(tokenizer: Any, text: str) -> list[int]:
    """Tokens of untrusted text: what looks like a special token stays text."""
    clean = sanitise(text).replace(_MARK, "")
    ids: list[int] = tokenize_text(tokenizer, clean)[0].tolist()
    return ids
