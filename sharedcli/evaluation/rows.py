"""One line of a question set: its fields, and the one sentence about a field that is wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from sharedcli.errors import UsageError
from sharedcli.evaluation.choices import bare_options, option_letter
from sharedcli.evaluation.items import CHOICE, Item
from sharedcli.ingest.sanitise import printable_path

_T = TypeVar("_T")
_NAMES: dict[type, str] = {str: "a text", list: "a list", dict: "an object"}


class UnusableError(Exception):
    """A published question that nobody can answer: its options or reference are broken."""


@dataclass(frozen=True)
class Row:
    """A line: where it stands and what it holds."""

    path: Path
    number: int
    data: dict[str, Any]
    suffix: str = ""
    unit: str = "line"

    @property
    def where(self) -> str:
        """File and line, for messages."""
        return f"{printable_path(self.path)}, {self.unit} {self.number}"

    @property
    def id(self) -> str:
        """What records call the item: stable while the file stays as it is."""
        return f"{self.path.stem}:{self.number}{self.suffix}"

    @property
    def name(self) -> str:
        """What the set itself calls the item; "" if nothing."""
        found = (self.data.get(key) for key in ("id", "_id", "qid", "question_id"))
        return next((str(one) for one in found if isinstance(one, (str, int))), "")

    def text(self, key: str) -> str:
        """Return a text; a list of texts is joined as paragraphs.

        Raises:
            UsageError: it is missing or something else.
        """
        value = self.data.get(key)
        if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
            return "\n\n".join(value)
        return self.get(key, str)

    def inside(self, data: dict[str, Any], suffix: str) -> Row:
        """An object within this line."""
        return replace(self, data=data, suffix=suffix)

    def get(self, key: str, kind: type[_T]) -> _T:
        """Return a field of this type.

        Raises:
            UsageError: it is missing or of another type.
        """
        if key not in self.data:
            raise self.missing(key)
        value = self.data[key]
        if not isinstance(value, kind):
            raise self.wrong(key, _NAMES.get(kind, kind.__name__))
        return value

    def missing(self, key: str, hint: str = "") -> UsageError:
        """The error about a field that is not there."""
        return UsageError(
            f"{self.where}: the field {key!r} is missing" + (f"; {hint}" if hint else "")
        )

    def wrong(self, key: str, wanted: str) -> UsageError:
        """The error about a field of the wrong kind."""
        return UsageError(f"{self.where}: the field {key!r} must be {wanted}")

    @staticmethod
    def text_group(text: str) -> str:
        """A name for the document that questions share: from its text."""
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def choice(
    row: Row,
    question: str,
    options: Any,
    answers: Sequence[str],
    **fields: Any,
) -> Item:
    """Return a multiple-choice item; the reference may be a letter or an option's text.

    Raises:
        UsageError: the options are no list of texts.
        UnusableError: there are not at least two, or none of them is the reference.
    """
    listed = _listed(options)
    if listed is None:
        raise row.wrong("options", "a list of texts")
    bare = bare_options(listed)
    letters = {letter for one in answers if (letter := option_letter(one, bare))}
    if len(bare) < 2 or not letters:
        raise UnusableError
    return Item(
        question=question,
        answers=tuple(sorted(letters)),
        options=tuple(bare),
        scores=(CHOICE,),
        max_tokens=8,
        dataset=row.path.stem,
        **fields,
    )


def _listed(options: Any) -> list[str] | None:
    """Options as texts: a list of texts or numbers, objects by letter, or one text of lines."""
    if isinstance(options, str):
        options = [line for line in options.splitlines() if line.strip()]
    if isinstance(options, dict):
        options = [options[letter] for letter in sorted(options)]
    if not isinstance(options, list):
        return None
    values = [
        next((one[key] for key in ("text", "option", "value") if key in one), None)
        if isinstance(one, dict)
        else one
        for one in options
    ]
    if not all(isinstance(one, (str, int, float)) for one in values):
        return None
    return [str(one) for one in values]
