"""``sharedcli eval perplexity``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sharedcli.cli.eval.options import (
    SHARED,
    Controls,
    Files,
    Folder,
    Fresh,
    Methods,
    Ratios,
    StreamWindow,
    ratio_list,
    token_counts,
)
from sharedcli.cli.eval.running import make_workbench, measure
from sharedcli.cli.flags import takes
from sharedcli.cli.session import Session


@takes(*SHARED)
def perplexity(
    session: Session,
    files: Files,
    *,
    methods: Methods = "none, truncate, full, passages, streaming, sharedllm",
    ratios: Ratios = None,
    controls: Controls = False,
    context: Annotated[
        str, typer.Option("--context", help="Tokens before the text: 7168 or 4K,8K,16K.")
    ] = "4K",
    running: Annotated[
        int, typer.Option("--running", min=2, help="Tokens whose loss counts.")
    ] = 512,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Windows per length.")] = 10,
    same_text: Annotated[
        bool, typer.Option("--same-text", help="The same text behind contexts of all lengths.")
    ] = False,
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
    from sharedcli.evaluation.gap import references
    from sharedcli.evaluation.methods.registry import make_methods, parse_methods
    from sharedcli.evaluation.tasks.perplexity import Perplexity, read_texts

    names = parse_methods(methods, ratio_list(ratios), controls=controls)
    lengths, wanted = token_counts(context, "--context"), list(only or ())
    texts = read_texts(files, wanted)
    bench = make_workbench(session, names, stream_window)
    hidden = references(names, bench.model.trained)
    task = Perplexity(
        texts,
        make_methods([*names, *hidden], bench),
        bench,
        contexts=lengths,
        running=running,
        items=limit,
        seed=session.settings.seed,
        same_text=same_text,
        hidden=hidden,
    )
    more: dict[str, Any] = {"running": running, "only": wanted, "stream_window": stream_window}
    if same_text:  # other windows: a folder of records has the ones or the others
        more["same_text"] = max(lengths)
    measure(session, task, bench, files=files, output=output, fresh=fresh, **more)
