"""``sharedcli bench``: how fast, how much memory, how many bytes, beside baselines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sharedcli.cli.flags import CACHE, GEOMETRY, MODEL, OUTPUT, Flag, takes
from sharedcli.cli.session import Session

if TYPE_CHECKING:
    from sharedcli.benchmarks.children import Jobs
    from sharedcli.benchmarks.plan import Plan
    from sharedcli.benchmarks.result import Result

app = typer.Typer(
    no_args_is_help=True, help="Measure speed, memory and bytes, beside StreamingLLM and CEPE."
)

SEED = (Flag("seed", int, ("--seed",), "Of random weights.", "Answering"),)
_SHARED = (MODEL, GEOMETRY, SEED, CACHE, OUTPUT)
_UNITS = {"K": 1 << 10, "M": 1 << 20}
_LONGEST = 1 << 24

Methods = Annotated[
    str,
    typer.Option(
        "--methods",
        metavar="NAMES",
        help="Comma-separated: full, streaming, encoder-decoder, sharedllm, sharedllm-indexed, or "
        "all. @256 behind the last two searches and injects 256 slots, as ask does.",
    ),
]
Context = Annotated[
    str, typer.Option("--context", help="Tokens of the document: 32768 or 8K,32K,1M.")
]
AnswerTokens = Annotated[
    int, typer.Option("--answer-tokens", min=1, help="Tokens that every method decodes.")
]
Runs = Annotated[int, typer.Option("--runs", min=1, help="Timed runs, taken in turn.")]
StreamWindow = Annotated[
    int, typer.Option("--stream-window", min=8, help="Tokens in the streaming method's cache.")
]
StreamBlock = Annotated[
    int, typer.Option("--stream-block", min=1, help="Tokens that streaming reads at a time.")
]
DecoderName = Annotated[
    str,
    typer.Option(
        "--decoder",
        help="product, for the methods that it can run, or forward: the base's own forward pass "
        "for all.",
    ),
]
TextFile = Annotated[
    Path | None,
    typer.Option(
        "--text",
        help="Document whose text is read, over and over where it is short. "
        "[dim]\\[default: the sample that ships][/]",
        show_default=False,
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Folder for JSON, Markdown and pictures as well."),
]


@app.callback()
def root() -> None:
    """Measure speed, memory and bytes, beside StreamingLLM and CEPE."""


@app.command("latency")
@takes(*_SHARED)
def latency(
    session: Session,
    *,
    methods: Methods = "full, streaming, encoder-decoder, sharedllm, sharedllm-indexed",
    context: Context = "8K",
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline",
            metavar="NAME",
            help="Method that ratios are of. [dim]\\[default: streaming, if it runs][/]",
            show_default=False,
        ),
    ] = None,
    answer_tokens: AnswerTokens = 32,
    runs: Runs = 3,
    no_memory: Annotated[
        bool, typer.Option("--no-memory", help="Time only: no process per method and length.")
    ] = False,
    stream_window: StreamWindow = 2048,
    stream_block: StreamBlock = 512,
    decoder: DecoderName = "product",
    text: TextFile = None,
    output: Folder = None,
) -> None:
    """Time a whole question: read the document, read the prompt, decode a fixed number of tokens.

    All methods run on the same base, tokens and prompt, in turn.
    """
    from sharedcli.benchmarks.latency import latency as measure
    from sharedcli.benchmarks.methods.registry import parse_methods

    names, lengths = parse_methods(methods), _lengths(context)
    chosen = _baseline(baseline, names)
    plan = _plan(
        session,
        text,
        answer_tokens=answer_tokens,
        runs=runs,
        stream_window=stream_window,
        stream_block=stream_block,
        forward_only=_forward_only(decoder),
    )
    found = measure(plan, names, lengths, _jobs(session), baseline=chosen, memory=not no_memory)
    _tell(session, found, output)


@app.command("memory")
@takes(*_SHARED)
def memory(
    session: Session,
    *,
    methods: Annotated[
        str,
        typer.Option(
            "--methods",
            metavar="NAMES",
            help="Comma-separated: index, ask, and the methods of bench latency, or all.",
        ),
    ] = "index,ask",
    context: Context = "4K,8K,16K",
    answer_tokens: AnswerTokens = 32,
    stream_window: StreamWindow = 2048,
    stream_block: StreamBlock = 512,
    decoder: DecoderName = "product",
    text: TextFile = None,
    output: Folder = None,
) -> None:
    """Peak memory of indexing and asking by length, each in a process of its own."""
    from sharedcli.benchmarks.memory import PRODUCT
    from sharedcli.benchmarks.memory import memory as measure
    from sharedcli.benchmarks.methods.registry import parse_methods

    names, lengths = parse_methods(methods, PRODUCT), _lengths(context)
    plan = _plan(
        session,
        text,
        answer_tokens=answer_tokens,
        runs=1,
        stream_window=stream_window,
        stream_block=stream_block,
        forward_only=_forward_only(decoder),
    )
    _tell(session, measure(plan, names, lengths, _jobs(session)), output)


@app.command("storage")
@takes(*_SHARED)
def storage(
    session: Session,
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILES", help="Documents; the sample that ships, if none."),
    ] = None,
    *,
    context: Annotated[
        str, typer.Option("--context", help="Tokens of a window that are compressed.")
    ] = "2K",
    running: Annotated[
        int, typer.Option("--running", min=2, help="Tokens behind it whose loss counts.")
    ] = 256,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Windows of each document.")] = 4,
    output: Folder = None,
) -> None:
    """Bytes per token of each slot format and kind of levels, and the loss that it costs."""
    from sharedcli.benchmarks.storing import storing

    length = _one_length(context)
    paths = [_document(path) for path in files or ()]
    plan = _plan(session, None)
    found = storing(plan, paths, _jobs(session), context=length, running=running, windows=limit)
    _tell(session, found, output)


@app.command("index")
@takes(*_SHARED)
def index(
    session: Session,
    *,
    context: Context = "4K,8K,16K",
    runs: Runs = 1,
    text: TextFile = None,
    output: Folder = None,
) -> None:
    """Tokens per second of indexing by length, where the time goes, and how memory grows."""
    from sharedcli.benchmarks.indexing import indexing

    lengths = _lengths(context)
    plan = _plan(session, text, runs=runs)
    _tell(session, indexing(plan, lengths, _jobs(session)), output)


def _plan(session: Session, text: Path | None, **given: Any) -> Plan:
    """How to measure; a model that cannot be meant is refused before anything runs."""
    from sharedcli.benchmarks.plan import Plan
    from sharedcli.benchmarks.published import check_random, is_random

    if is_random(session.settings.model):
        check_random(session.settings.model)
    document = None if text is None else str(_document(text).absolute())
    return Plan(session.settings, document, **given)


def _jobs(session: Session) -> Jobs:
    from sharedcli.benchmarks.children import Jobs

    def tell(done: int, total: int, what: str) -> None:
        session.activity.update(what, done, total or None)

    return Jobs(tell)


def _tell(session: Session, result: Result, output: Path | None) -> None:
    """Show or emit a result, and write its files where a folder is given."""
    from sharedcli.benchmarks.report import write

    session.activity.stop()
    files = write(result, output, session.terminal.warning) if output else []
    if session.json:
        session.emit(result.to_plain())
        return
    from sharedcli.cli.render_bench import show_result

    show_result(session.terminal, result, [str(path) for path in files])


def _document(path: Path) -> Path:
    from sharedcli.errors import UnreadableError

    if not path.is_file():
        raise UnreadableError(f"{path} cannot be read: there is no such file; check the path")
    return path


def _baseline(name: str | None, methods: list[str]) -> str | None:
    """The method that ratios are of."""
    from sharedcli.errors import UsageError

    if name is None:
        return "streaming" if "streaming" in methods else None
    if name not in methods:
        raise UsageError(
            f"the baseline {name!r} is not measured; add it to --methods {','.join(methods)}"
        )
    return name


def _forward_only(decoder: str) -> bool:
    from sharedcli.errors import UsageError

    if decoder not in ("product", "forward"):
        raise UsageError(f"--decoder is product or forward, not {decoder!r}")
    return decoder == "forward"


def _one_length(text: str) -> int:
    from sharedcli.errors import UsageError

    lengths = _lengths(text)
    if len(lengths) != 1:
        raise UsageError(f"--context takes one length here, not {text!r}")
    return lengths[0]


def _lengths(text: str) -> list[int]:
    """Read "32768" or "8K,32K,1M"; each once, shortest first."""
    from sharedcli.errors import UsageError

    found = set()
    for part in text.replace(" ", "").upper().split(","):
        unit = _UNITS.get(part[-1:], 1)
        digits = part[:-1] if unit > 1 else part
        if not digits.isdecimal() or len(digits) > 9 or not 0 < int(digits) * unit <= _LONGEST:
            raise UsageError(
                f"--context takes tokens like 32768 or 8K,32K,1M, from 1 to {_LONGEST:,}, "
                f"not {text!r}"
            )
        found.add(int(digits) * unit)
    return sorted(found)
