"""``sharedcli eval``: methods side by side on the same base, documents and machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sharedcli.cli.flags import ANSWER, CACHE, GEOMETRY, MODEL, OUTPUT, takes
from sharedcli.cli.session import Session

if TYPE_CHECKING:
    from sharedcli.evaluation.methods.contract import Workbench
    from sharedcli.evaluation.tasks.contract import Task

app = typer.Typer(no_args_is_help=True, help="Measure: methods side by side, with intervals.")

_LARGE = 1024
_KEPT = ("passages", "budget", "inject", "max_tokens", "seed")
_ANSWER = tuple(flag for flag in ANSWER if flag.name in _KEPT)

Files = Annotated[list[Path], typer.Argument(metavar="FILES...", help="What to measure on.")]
Methods = Annotated[
    str,
    typer.Option(
        "--methods",
        metavar="NAMES",
        help="Comma-separated: none, truncate, full, passages, streaming, encoder-decoder, lingua, "
        "sharedllm, sharedllm+passages, or all. @N sets a budget: sharedllm@256.",
    ),
]
Limit = Annotated[
    int | None, typer.Option("--limit", min=1, help="Questions of each file at most.")
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="Folder of the records; the same run goes on in it. "
        "[dim]\\[default: sharedcli-eval/TASK-DIGEST][/]",
        show_default=False,
    ),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Forget the records in the folder.")]
StreamWindow = Annotated[
    int, typer.Option("--stream-window", min=8, help="Tokens in the streaming method's cache.")
]


@app.callback()
def root() -> None:
    """Measure: methods side by side, with intervals."""


@app.command("perplexity")
@takes(MODEL, GEOMETRY, _ANSWER, CACHE, OUTPUT)
def perplexity(
    session: Session,
    files: Files,
    *,
    methods: Methods = "none,truncate,full,passages,streaming,sharedllm",
    context: Annotated[
        str, typer.Option("--context", help="Tokens before the text: 7168 or 4K,8K,16K.")
    ] = "4K",
    running: Annotated[
        int, typer.Option("--running", min=2, help="Tokens whose loss counts.")
    ] = 512,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Windows per length.")] = 10,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", help="Documents called like this; repeatable."),
    ] = None,
    stream_window: StreamWindow = 2048,
    output: Folder = None,
    fresh: Fresh = False,
) -> None:
    """Loss of text after a long context, in nats per token.

    FILES are documents, or JSON Lines with a field "text".
    """
    from sharedcli.evaluation.methods.registry import make_methods, parse_methods
    from sharedcli.evaluation.tasks.perplexity import Perplexity, read_texts

    names, lengths = parse_methods(methods), _numbers(context, "--context")
    texts = read_texts(files, only or ())
    bench = _workbench(session, names, stream_window)
    task = Perplexity(
        texts,
        make_methods(names, bench),
        bench,
        contexts=lengths,
        running=running,
        items=limit,
        seed=session.settings.seed,
    )
    more = {"running": running, "only": list(only or ()), "stream_window": stream_window}
    _measure(session, task, bench, files=files, output=output, fresh=fresh, more=more)


@app.command("needle")
@takes(MODEL, GEOMETRY, _ANSWER, CACHE, OUTPUT)
def needle(
    session: Session,
    files: Files,
    *,
    methods: Methods = "none,truncate,full,passages,streaming,sharedllm+passages",
    lengths: Annotated[
        str, typer.Option("--lengths", help="Lengths in tokens: 2K,4K,8K.")
    ] = "1K,2K,4K",
    depths: Annotated[
        str, typer.Option("--depths", help="Where the needle lies, in percent.")
    ] = "0,25,50,75,100",
    trials: Annotated[int, typer.Option("--trials", min=1, help="Needles per cell.")] = 1,
    stream_window: StreamWindow = 2048,
    output: Folder = None,
    fresh: Fresh = False,
) -> None:
    """Find one fact hidden in long text, over a grid of depths and lengths.

    FILES are the haystack: documents, or JSON Lines with a field "text".
    """
    from sharedcli.evaluation.methods.registry import make_methods, parse_methods
    from sharedcli.evaluation.tasks.needle import Needle
    from sharedcli.evaluation.tasks.perplexity import read_texts

    names = parse_methods(methods)
    sizes, places = _numbers(lengths, "--lengths"), _percents(depths)
    texts = read_texts(files)
    bench = _workbench(session, names, stream_window)
    task = Needle(
        texts,
        make_methods(names, bench),
        bench,
        lengths=sizes,
        depths=places,
        trials=trials,
        seed=session.settings.seed,
    )
    _measure(
        session,
        task,
        bench,
        files=files,
        output=output,
        fresh=fresh,
        more={"stream_window": stream_window},
    )


@app.command("qa")
@takes(MODEL, GEOMETRY, _ANSWER, CACHE, OUTPUT)
def qa(
    session: Session,
    files: Files,
    *,
    methods: Methods = "none,passages,sharedllm+passages",
    limit: Limit = None,
    stream_window: StreamWindow = 2048,
    output: Folder = None,
    fresh: Fresh = False,
) -> None:
    """Answer the questions of a set and score the answers.

    FILES are JSON Lines in our format or in that of LongBench, L-Eval, InfiniteBench or BAMBOO.
    """
    from sharedcli.evaluation.formats import read_items
    from sharedcli.evaluation.methods.registry import make_methods, parse_methods
    from sharedcli.evaluation.tasks.questions import Questions

    names = parse_methods(methods)
    found = read_items(files)
    bench = _workbench(session, names, stream_window)
    task = Questions(found.items, make_methods(names, bench), bench, found.notes, limit)
    _measure(
        session,
        task,
        bench,
        files=files,
        output=output,
        fresh=fresh,
        more={"stream_window": stream_window},
    )


@app.command("retrieval")
@takes(MODEL, GEOMETRY, _ANSWER, CACHE, OUTPUT)
def retrieval(
    session: Session,
    files: Files,
    *,
    methods: Annotated[
        str, typer.Option("--methods", metavar="NAMES", help="Rankings, comma-separated, or all.")
    ] = "all",
    limit: Limit = None,
    texts: Annotated[
        int, typer.Option("--texts", min=1, help="Texts that are joined into one document.")
    ] = 14,
    output: Folder = None,
    fresh: Fresh = False,
) -> None:
    """How often is the page that answers a question among the first that are found?

    FILES are JSON Lines: questions about files with the evidence's page, or texts with answers
    that stand in them word for word.
    """
    from sharedcli.evaluation.formats import read_items
    from sharedcli.evaluation.tasks.pages import page_questions, sample
    from sharedcli.evaluation.tasks.retrieval import Retrieval

    names = None if methods.strip() == "all" else [n.strip() for n in methods.split(",")]
    documents, questions = page_questions(read_items(files).items, texts=texts)
    questions = sample(questions, limit, session.settings.seed)
    bench = _workbench(session, [], 2048, encoder=True)
    task = Retrieval(documents, questions, bench, names)
    _measure(session, task, bench, files=files, output=output, fresh=fresh, more={"texts": texts})


@app.command("abstain")
@takes(MODEL, GEOMETRY, _ANSWER, CACHE, OUTPUT)
def abstain(
    session: Session,
    files: Files,
    *,
    limit: Limit = None,
    output: Folder = None,
    fresh: Fresh = False,
) -> None:
    """How often does `ask` refuse what the documents do not answer, and what they do?

    FILES are JSON Lines with questions about several documents; each is also asked of another one.
    """
    from sharedcli.evaluation.formats import read_items
    from sharedcli.evaluation.tasks.abstain import Abstain
    from sharedcli.evaluation.tasks.questions import first_of_each

    items = first_of_each(read_items(files).items, limit)
    bench = _workbench(session, [], 2048, encoder=True)
    task = Abstain(items, bench, session.settings.seed)
    _measure(session, task, bench, files=files, output=output, fresh=fresh, more={})


@app.command("compare")
@takes(OUTPUT)
def compare(
    session: Session,
    first: Annotated[Path, typer.Argument(help="Folder of one run.")],
    second: Annotated[Path, typer.Argument(help="Folder of the other.")],
    methods: Annotated[
        str | None,
        typer.Option(
            "--methods",
            metavar="NAMES",
            help="Only these; two names compare the first run's one with the second run's other.",
        ),
    ] = None,
) -> None:
    """Compare two runs on the items that both have: second minus first."""
    from sharedcli.evaluation.comparing import compare_runs

    names = None if methods is None else [n.strip() for n in methods.split(",") if n.strip()]
    found, differing = compare_runs(first, second, names)
    if session.json:
        session.emit(
            {
                "first": str(first),
                "second": str(second),
                "paired": [one.to_plain() for one in found],
                "differing": differing,
            }
        )
        return
    from sharedcli.cli.render_evaluation import show_comparison

    show_comparison(session.terminal, found, differing)


def _workbench(
    session: Session, names: list[str], stream_window: int, *, encoder: bool = False
) -> Workbench:
    """Load the model, and the sentence encoder where a method ranks with it."""
    from sharedcli.evaluation.methods.contract import Workbench

    with session.activity as activity:
        activity.update("loading the model")
        model = session.engine.model()
        wanted = encoder or any(name.startswith("sharedllm") for name in names)
        vectors = session.engine.encoder() if wanted else None
    return Workbench(model, session.settings, vectors, stream_window)


def _measure(
    session: Session,
    task: Task,
    bench: Workbench,
    *,
    files: list[Path],
    output: Path | None,
    fresh: bool,
    more: dict[str, Any],
) -> None:
    """Run a task, and show or write what it found."""
    from sharedcli.evaluation.experiment import default_folder, run_experiment
    from sharedcli.measuring.run_info import setup

    encoder = "none" if bench.encoder is None else "all-MiniLM-L6-v2"
    known = setup(task.name, session.settings, bench.model, files, passage_encoder=encoder, **more)
    folder = output or default_folder(known)

    def told(done: int, total: int, way: str) -> None:
        session.activity.update(f"measuring {way}", done, total, unit="items")

    with session.activity:
        result, made = run_experiment(
            task,
            known,
            bench.model,
            folder,
            fresh=fresh,
            on_case=told,
            on_note=session.terminal.aside,
        )
    if session.json:
        session.emit(result.to_plain())
        session.terminal.aside(f"records are in {folder}")
        return
    from sharedcli.cli.render_evaluation import show_result

    show_result(session.terminal, result, [str(path) for path in made])


def _numbers(text: str, option: str) -> list[int]:
    """Read "4096,8K"."""
    from sharedcli.errors import UsageError

    found = []
    for part in text.replace(" ", "").upper().split(","):
        digits, scale = (part[:-1], _LARGE) if part.endswith("K") else (part, 1)
        if not digits.isdigit() or len(digits) > 9:
            raise UsageError(f"{option} takes tokens like 7168 or 4K,8K, not {text!r}")
        found.append(int(digits) * scale)
    return found


def _percents(text: str) -> list[float]:
    """Read "0,50,100"."""
    from sharedcli.errors import UsageError

    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(0 <= one <= 100 for one in found):
        raise UsageError(f"--depths takes percents like 0,25,50,75,100, not {text!r}")
    return found
