"""``sharedcli eval qa``."""

from __future__ import annotations

from sharedcli.cli.eval.options import (
    SHARED,
    Files,
    Folder,
    Fresh,
    Limit,
    Methods,
    Ratios,
    StreamWindow,
    ratio_list,
)
from sharedcli.cli.eval.running import make_workbench, measure
from sharedcli.cli.flags import takes
from sharedcli.cli.session import Session


@takes(*SHARED)
def qa(
    session: Session,
    files: Files,
    *,
    methods: Methods = "none, passages, sharedllm+passages",
    ratios: Ratios = None,
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

    names = parse_methods(methods, ratio_list(ratios))
    found = read_items(files, limit)
    bench = make_workbench(session, names, stream_window)
    task = Questions(found.items, make_methods(names, bench), bench, found.notes, limit)
    more = {"stream_window": stream_window}
    measure(session, task, bench, files=files, output=output, fresh=fresh, **more)
