"""How much a document may cost before it is refused.

Documents come from strangers: a file of a few kilobytes can ask for minutes of computing or
gigabytes of memory. The numbers below let every honest document that we know pass with a wide
margin and stop the others soon.

The time limit has two parts, because no single number fits both a 13 kB bomb and an honest report
of 800 pages: a reader that completes no page for ``seconds`` is stopped, and so is one that takes
longer in total than its file's size can justify (``seconds + seconds_per_mib * size``). Dense PDF
text costs 4 to 13 s per MiB on one slow core, so 60 s leaves room for slower and busier machines.
"""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Limits for reading one document.

    Attributes:
        seconds: longest wait for the next page, and the fixed part of the total, in seconds.
        seconds_per_mib: what each MiB of the file adds to the total, in seconds.
        total_seconds: the total never exceeds this, whatever the size.
        page_seconds: processor time for one page of a PDF; a page that needs more is left out,
            and a document with more than two such pages is refused.
        memory_bytes: address space of the worker process (not enforced on Windows and macOS).
        file_bytes: largest file that is opened.
        text_chars: most characters of text that one document may hold.
        pages: most pages or sections.
        archive_members: most members of a zip archive (docx, epub).
        archive_bytes: most bytes read out of one archive, counted while unpacking.
        archive_ratio: highest ratio of unpacked to packed bytes, from 1 MiB unpacked on.
    """

    seconds: float = 30.0
    seconds_per_mib: float = 60.0
    total_seconds: float = 3600.0
    page_seconds: float = 10.0
    memory_bytes: int = 1024 * MIB
    file_bytes: int = 1024 * MIB
    text_chars: int = 20_000_000
    pages: int = 50_000
    archive_members: int = 10_000
    archive_bytes: int = 256 * MIB
    archive_ratio: int = 200

    def seconds_for(self, size: int) -> float:
        """Return the total time in seconds for a file of ``size`` bytes."""
        return min(self.total_seconds, self.seconds + self.seconds_per_mib * size / MIB)
