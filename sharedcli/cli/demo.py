"""``sharedcli demo``: the main job, on a document that ships with the package."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import as_file, files

from sharedcli.cli.ask import answered
from sharedcli.cli.flags import CACHE, MODEL, OUTPUT, PLACES, takes
from sharedcli.cli.index import exit_code, indexed
from sharedcli.cli.session import Session
from sharedcli.errors import SharedCLIError

SAMPLE = "halvard-ridge.pdf"
QUESTIONS = (
    "Where is the last safe place to turn back on the winter route?",
    "What was the strongest gust of wind ever measured at the station?",
)


@takes(PLACES, CACHE, MODEL, OUTPUT)
def demo(session: Session) -> None:
    """Index a sample document and ask two questions about it, showing the commands.

    The sample goes into a store of its own, so that it never turns up among your documents.
    """
    if session.settings.origins.get("store") != "flag":
        session.settings = replace(session.settings, store=session.settings.cache / "demo-store")
    store = str(session.settings.store)
    with as_file(files("sharedcli.samples") / SAMPLE) as sample:
        source = str(sample)
        _command(session, "index", source, "--store", store)
        if exit_code(indexed(session, [source], force=False)):
            raise SharedCLIError(f"the sample {source} could not be indexed; see the reason above")
        chosen = session.engine.store().resolve(source, one=True)[0]
        for question in QUESTIONS:
            _command(session, "ask", question, "--store", store)
            answered(session, question, [chosen.id])
    if not session.json:
        from sharedcli.cli.render import hint

        hint(session.terminal, "Now with your own: ", "sharedcli index FILE...")


def _command(session: Session, *words: str) -> None:
    """Show a command as it would be typed."""
    if not session.json:
        from sharedcli.cli.render import prompt

        prompt(session.terminal, ["sharedcli", *words])
