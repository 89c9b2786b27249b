"""Read the documents that questions are about, and texts to draw from, with patience.

Who measures chose the files and waits for figures anyway: a busy machine must not end the run.
"""

from __future__ import annotations

from sharedcli.ingest import DocumentReader
from sharedcli.ingest.limits import Limits

_PATIENCE = 5
"""Times what an index allows."""


def patient_reader() -> DocumentReader:
    """A reader whose time limits are wide; those of memory and size are the usual ones."""
    usual = Limits()
    return DocumentReader(
        Limits(
            seconds=_PATIENCE * usual.seconds,
            seconds_per_mib=_PATIENCE * usual.seconds_per_mib,
            page_seconds=_PATIENCE * usual.page_seconds,
        )
    )
