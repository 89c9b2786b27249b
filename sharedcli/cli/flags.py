"""Options that several commands share, in groups, and the decorator that adds them to a command.

Typer reads a command's signature. Writing twenty options into every signature would bury what the
command itself takes, so ``takes`` appends them and hands the command a ``Session`` instead.

Options of settings have no default here: None means "not given", and the settings decide. The help
shows the settings' own defaults, so that the two cannot differ.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import typer

from sharedcli.cli.session import open_session
from sharedcli.settings import Settings

_DEFAULTS = {item.name: item.default for item in fields(Settings)}


@dataclass(frozen=True)
class Flag:
    """One shared option: the setting's name, the type, the spellings and the help."""

    name: str
    kind: Any
    spellings: tuple[str, ...]
    help: str
    panel: str
    metavar: str | None = None

    def parameter(self) -> inspect.Parameter:
        """The parameter that Typer makes an option of."""
        switch = self.kind is bool
        default = _DEFAULTS.get(self.name)
        shown = isinstance(default, (str, int, float)) and not isinstance(default, bool)
        option = typer.Option(
            *self.spellings,
            help=f"{self.help} [dim]\\[default: {default}][/]" if shown else self.help,
            rich_help_panel=self.panel,
            metavar=self.metavar,
            show_default=False,
        )
        kind = bool if switch else self.kind | None
        return inspect.Parameter(
            self.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if switch else None,
            annotation=Annotated[kind, option],
        )


_MODEL = "Model"
_TREE = "Context tree"
_ANSWER = "Answer"
_PLACES = "Places"
_OUTPUT = "Output"

PLACES = (
    Flag("store", Path, ("--store",), "Folder of the context trees (SHAREDCLI_HOME).", _PLACES),
)
QUOTA = (
    Flag("quota", str, ("--quota",), "Bytes that the store may take, e.g. 20GB.", _PLACES, "SIZE"),
)
CACHE = (
    Flag("cache", Path, ("--cache",), "Folder of fetched models (SHAREDCLI_CACHE).", _PLACES),
    Flag("offline", bool, ("--offline",), "Never touch the network.", _PLACES),
)
BASE = (
    Flag(
        "model",
        str,
        ("--model", "-m"),
        "default, a folder, a .gguf file or a Hugging Face id.",
        _MODEL,
    ),
    Flag("revision", str, ("--revision",), "Branch, tag or commit of a Hugging Face id.", _MODEL),
)
MODEL = (
    *BASE,
    Flag("adapter", str, ("--adapter",), "Folder of an adapter, or none.", _MODEL),
    Flag("device", str, ("--device",), "auto, cpu, cuda, cuda:N or mps.", _MODEL),
    Flag("dtype", str, ("--dtype",), "auto, float32, bfloat16 or float16.", _MODEL),
    Flag(
        "attn_implementation",
        str,
        ("--attn-implementation",),
        "sdpa, eager or flash_attention_2.",
        _MODEL,
    ),
    Flag("quantization", str, ("--quantization",), "bnb-4bit, bnb-8bit or none.", _MODEL),
    Flag("load_in_4bit", bool, ("--load-in-4bit",), "Short for --quantization bnb-4bit.", _MODEL),
)
GEOMETRY = (
    Flag("chunk_tokens", int, ("--chunk-tokens",), "Tokens per chunk.", _TREE),
    Flag("depth", int, ("--depth",), "Levels below a chunk.", _TREE),
    Flag("slots_per_node", int, ("--slots-per-node",), "Slots that a node keeps.", _TREE),
    Flag("levels", str, ("--levels",), "per_node or nested.", _TREE),
    Flag("slot_choice", str, ("--slot-choice",), "first, last, mean or pooled.", _TREE),
    Flag("lead_tokens", int, ("--lead-tokens",), "Tokens read before each chunk.", _TREE),
    Flag("stored_depth", int, ("--stored-depth",), "Deepest level stored; 0: all.", _TREE),
    Flag("strip_chunks", int, ("--strip-chunks",), "Chunks read in one pass.", _TREE),
    Flag("exit_layer", int, ("--exit-layer",), "Layers for all tokens; 0: all.", _TREE),
    Flag(
        "pruning_layer",
        int,
        ("--pruning-layer",),
        "Layers that see all tokens, not slots' only; 0: all.",
        _TREE,
    ),
    Flag(
        "slot_format",
        str,
        ("--slot-format",),
        "int8, int4, bfloat16, float16, float32, or recompute: none.",
        _TREE,
    ),
    Flag(
        "index_weights",
        str,
        ("--index-weights",),
        "auto, int8 or plain: how a CPU reads weights while indexing.",
        _TREE,
    ),
    Flag(
        "embed",
        str,
        ("--embed",),
        "When passages are embedded: index (all) or ask (the best).",
        _TREE,
    ),
)
BUDGET = (Flag("budget", int, ("--budget",), "Slots injected at most.", _ANSWER, "SLOTS"),)
ANSWER = (
    Flag("passages", int, ("--passages",), "Verbatim passages; 0: injection alone.", _ANSWER, "N"),
    *BUDGET,
    Flag(
        "inject",
        str,
        ("--inject",),
        "auto (with a trained adapter), always or never.",
        _ANSWER,
    ),
    Flag(
        "abstain",
        str,
        ("--abstain",),
        "auto (refuse what the documents do not seem to answer) or never.",
        _ANSWER,
    ),
    Flag(
        "decode_weights",
        str,
        ("--decode-weights",),
        "auto, int4, int8, plain or unpacked: how a CPU reads weights while decoding.",
        _ANSWER,
    ),
    Flag("max_tokens", int, ("--max-tokens",), "Tokens of the answer at most.", _ANSWER, "N"),
    Flag("temperature", float, ("--temperature",), "0 always takes the likeliest.", _ANSWER),
    Flag("top_p", float, ("--top-p",), "Sample from this share of the likeliest.", _ANSWER),
    Flag("seed", int, ("--seed",), "Of what is drawn at random.", _ANSWER),
)
OUTPUT = (
    Flag("json", bool, ("--json",), "Data as JSON on stdout.", _OUTPUT),
    Flag("quiet", bool, ("--quiet", "-q"), "Nothing on stderr but errors.", _OUTPUT),
    Flag("no_color", bool, ("--no-color",), "No colours (also NO_COLOR).", _OUTPUT),
    Flag("debug", bool, ("--debug",), "Show tracebacks.", _OUTPUT),
)


def takes(*groups: tuple[Flag, ...]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add shared options to a command, whose first parameter is the ``Session``."""
    shared = [flag for group in groups for flag in group]

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(function, eval_str=True)
        own = list(signature.parameters.values())[1:]

        @functools.wraps(function)
        def command(**given: Any) -> None:
            flags = {flag.name: given.pop(flag.name) for flag in shared}
            if flags.get("debug"):
                os.environ["SHAREDCLI_DEBUG"] = "1"
            # Not given is not the same as False: the environment or a file may say true.
            flags = {name: value for name, value in flags.items() if value is not False}
            try:
                with open_session(flags) as session:
                    function(session, **given)
            except BrokenPipeError:  # before Typer makes exit code 1 of it
                raise ClosedPipe from None

        added = [flag.parameter() for flag in shared]
        vars(command)["__signature__"] = signature.replace(
            parameters=[
                *(one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own),
                *added,
            ]
        )
        command.__annotations__ = {one.name: one.annotation for one in (*own, *added)}
        del vars(command)["__wrapped__"]
        return command

    return decorate


class ClosedPipe(Exception):
    """The reader of stdout or stderr has gone away."""
