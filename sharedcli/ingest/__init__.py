"""Files become ``Document`` objects: text with page spans. No torch, no disk but the files read."""

from sharedcli.ingest.document import Document, Page
from sharedcli.ingest.limits import Limits
from sharedcli.ingest.reader import DocumentReader, read_document
from sharedcli.ingest.sanitise import StreamSanitiser, printable_path, sanitise, sanitise_line

__all__ = [
    "Document",
    "DocumentReader",
    "Limits",
    "Page",
    "StreamSanitiser",
    "printable_path",
    "read_document",
    "sanitise",
    "sanitise_line",
]
