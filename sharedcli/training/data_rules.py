"""What a recipe says of its data: how files are weighed and read, by their names."""

from __future__ import annotations

from dataclasses import dataclass, field

from sharedcli.training.requirement import need


@dataclass(frozen=True)
class Fields:
    """Names of the keys in JSON Lines."""

    source: str = "source"
    text: str = "text"
    context: str = "context"
    questions: str = "qa"
    question: str = "question"
    answers: str = "answers"
    start: str = "start"
    reply: str = "reply"
    choices: str = "choices"


@dataclass(frozen=True)
class DataRule:
    """How the data files are treated whose name ``match`` fits; the first rule that fits counts.

    Attributes:
        match: shell pattern on the file's name ("keps*"), or on a folder's.
        weight: draws relative to what the file's size alone would give; 0 leaves it out.
        join: join the passages of one source to a long document.
        deduplicate: drop paragraphs that stand in several documents (template text).
        holdout_every: every so many documents one is kept for measuring; 0 keeps none.
        fields: names of the keys in JSON Lines.
    """

    match: str = "*"
    weight: float = 1.0
    join: bool = False
    deduplicate: bool = True
    holdout_every: int = 10
    fields: Fields = field(default_factory=Fields)

    def __post_init__(self) -> None:
        need(self.weight >= 0, "data.weight", self.weight, "0 or more")
        need(self.holdout_every >= 0, "data.holdout_every", self.holdout_every, "0 or more")
