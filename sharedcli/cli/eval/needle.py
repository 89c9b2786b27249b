"""``sharedcli eval needle``."""

from __future__ import annotations

from typing import Annotated

import typer

from sharedcli.cli.eval.options import (
    SHARED,
    Files,
    Folder,
    Fresh,
    Methods,
    Ratios,
    StreamWindow,
    percents,
    ratio_list,
    token_counts,
)
from sharedcli.cli.eval.running import make_workbench, measure
from sharedcli.cli.flags import takes
from sharedcli.cli.session import Session


@takes(*SHARED)
def needle(
    session: Session,
    files: Files,
    *,
    methods: Methods = "none, truncate, full, passages, streaming, sharedllm, sharedllm+passages",
    ratios: Ratios = None,
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

    FILES are the haystack: documents, or JSON Lines with a field "text". Behind sharedllm, @oracle
    tells the descent where the needle lies.
    """
    from sharedcli.evaluation.methods.registry import make_methods, parse_methods
    from sharedcli.evaluation.tasks.needle import Needle
    from sharedcli.evaluation.tasks.perplexity import read_texts

    names = parse_methods(methods, ratio_list(ratios))
    sizes, places = token_counts(lengths, "--lengths"), percents(depths)
    texts = read_texts(files)
    bench = make_workbench(session, names, stream_window)
    task = Needle(
        texts,
        make_methods(names, bench),
        bench,
        lengths=sizes,
        depths=places,
        trials=trials,
        seed=session.settings.seed,
    )
    more = {"stream_window": stream_window}
    measure(session, task, bench, files=files, output=output, fresh=fresh, **more)
