"""The worker behind the reader: reused, limited, replaced, and gone when its owner is."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import signal
import subprocess
import sys
import textwrap
import time
import types
from pathlib import Path

import pytest

import sharedcli
from sharedcli.errors import LimitError, NoTextError, UnreadableError
from sharedcli.ingest import DocumentReader, Limits, read_document
from sharedcli.ingest import reader as reader_module
from sharedcli.ingest import worker as worker_module
from sharedcli.ingest.process import WorkerProcess

POSIX = pytest.mark.skipif(os.name != "posix", reason="signals and /proc")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS and /proc are Linux's")


def worker_pid(reader: DocumentReader) -> int | None:
    return None if reader._worker is None else reader._worker._process.pid


def is_running(pid: int) -> bool:
    """Whether a process lives; one that is dead but not yet reaped does not."""
    try:
        return "(Z)" not in Path(f"/proc/{pid}/status").read_text().replace("\tZ ", "(Z)")
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until_gone(pid: int) -> bool:
    for _ in range(500):
        if not is_running(pid):
            return True
        time.sleep(0.02)
    return False


@pytest.fixture
def html(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("<title>T</title><p>hello")
    return path


def test_digest_is_of_the_bytes_and_source_as_given(html):
    document = read_document(str(html))
    assert document.sha256 == hashlib.sha256(html.read_bytes()).hexdigest()
    assert document.source == str(html)


def test_relative_path_stays_relative(html, monkeypatch):
    monkeypatch.chdir(html.parent)
    assert read_document("page.html").source == "page.html"


def test_plain_text_starts_no_worker(tmp_path):
    path = tmp_path / "a.md"
    path.write_text("# One\ntext")
    with DocumentReader() as reader:
        document = reader.read(path)
        assert worker_pid(reader) is None
    assert document.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@LINUX
def test_one_worker_serves_many_files_and_survives_bad_ones(html, tmp_path):
    ballast = bytearray(600 << 20)  # a large owner, as one with a model is
    bad = tmp_path / "bad.pdf"
    bad.write_bytes(b"%PDF-1.7 nothing else")
    with DocumentReader() as reader:
        reader.read(html)
        pid = worker_pid(reader)
        for _ in range(3):
            with pytest.raises(UnreadableError):
                reader.read(bad)
            reader.read(html)
        assert worker_pid(reader) == pid
    assert ballast and wait_until_gone(pid)


def test_progress_counts_pages(tmp_path, pdf):
    path = tmp_path / "p.pdf"
    path.write_bytes(pdf.pages("a", "b", "c"))
    calls: list[tuple[int, int | None]] = []
    read_document(path, on_page=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_error_in_the_callback_leaves_the_reader_usable(tmp_path, pdf, html):
    path = tmp_path / "p.pdf"
    path.write_bytes(pdf.pages(*["some page"] * 20))

    def fail(done: int, total: int | None) -> None:
        raise ValueError("mine")

    with DocumentReader() as reader:
        with pytest.raises(ValueError, match="mine"):
            reader.read(path, on_page=fail)
        assert reader.read(html).text.strip() == "hello"


@POSIX
def test_killed_worker_is_one_file_s_failure(tmp_path, pdf, html):
    path = tmp_path / "p.pdf"
    path.write_bytes(pdf.pages(*["some page"] * 400))
    with DocumentReader() as reader:

        def kill(done: int, total: int | None) -> None:
            if done == 1:
                os.kill(worker_pid(reader), signal.SIGKILL)

        with pytest.raises(LimitError, match="stopped by the system"):
            reader.read(path, on_page=kill)
        assert reader.read(html).text.strip() == "hello"


@POSIX
def test_crashed_worker_is_one_file_s_failure(tmp_path, pdf, html):
    path = tmp_path / "p.pdf"
    path.write_bytes(pdf.pages(*["some page"] * 400))
    with DocumentReader() as reader:

        def crash(done: int, total: int | None) -> None:
            if done == 1:
                os.kill(worker_pid(reader), signal.SIGSEGV)

        with pytest.raises(UnreadableError, match="crash"):
            reader.read(path, on_page=crash)
        assert reader.read(html).text.strip() == "hello"


@LINUX
def test_memory_limit(tmp_path, html):
    path = tmp_path / "big.html"
    path.write_bytes(b"<p>" + b"<b>x</b>" * 2_000_000)
    limits = Limits(memory_bytes=256 << 20)
    with DocumentReader(limits) as reader:
        with pytest.raises(LimitError, match="256 MiB of memory"):
            reader.read(path)
        assert reader.read(html).text.strip() == "hello"


@LINUX
def test_processor_time_is_limited_by_the_system_too(tmp_path, monkeypatch):
    """Should the owner's clock fail, the worker's own limit ends it."""
    path = tmp_path / "slow.html"
    path.write_text("<div>" * 400_000)
    monkeypatch.setattr("sharedcli.ingest.process.WorkerProcess._patience", lambda *_: 60.0)
    with (
        DocumentReader(Limits(seconds=0.5, seconds_per_mib=0)) as reader,
        pytest.raises(LimitError, match="too long"),
    ):
        reader.read(path)


@LINUX
def test_worker_cannot_write_files(html, tmp_path):
    with DocumentReader() as reader:
        reader.read(html)
        limits = Path(f"/proc/{worker_pid(reader)}/limits").read_text()
    assert [line.split()[3] for line in limits.splitlines() if "Max file size" in line] == ["0"]


@POSIX
def test_worker_ignores_the_current_folder(tmp_path, monkeypatch, html):
    """A folder of documents may hold a file that is called like a module."""
    mark = tmp_path / "executed"
    for name in ("pypdf", "selectolax", "json", "zipfile"):
        (tmp_path / f"{name}.py").write_text(f"open({str(mark)!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert read_document(html).text.strip() == "hello"
    assert not mark.exists()


OWNER = """
    import sys, time
    sys.path[:] = {path!r}
    from sharedcli.ingest import DocumentReader
    def report(done, total):
        print(reader._worker._process.pid, flush=True)
    with DocumentReader() as reader:
        reader.read({file!r}, on_page=report)
        {then}
"""


def start_owner(file: Path, then: str) -> tuple[subprocess.Popen[str], int]:
    path = [str(Path(sharedcli.__file__).parents[1]), *sys.path]
    code = textwrap.dedent(OWNER).format(path=path, file=str(file), then=then)
    owner = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert owner.stdout is not None
    return owner, int(owner.stdout.readline())


@LINUX
@pytest.mark.parametrize("busy", [True, False])
def test_worker_dies_with_a_killed_owner(tmp_path, pdf, busy):
    path = tmp_path / "long.pdf"
    path.write_bytes(pdf.pages(*["word " * 1000] * (300 if busy else 1)))
    owner, worker = start_owner(path, "time.sleep(60)")
    with owner:
        owner.kill()
    assert wait_until_gone(worker)


@LINUX
def test_interrupt_ends_owner_and_worker(tmp_path, pdf):
    path = tmp_path / "long.pdf"
    path.write_bytes(pdf.pages(*["word " * 1000] * 300))
    owner, worker = start_owner(path, "pass")
    with owner:
        os.killpg(owner.pid, signal.SIGINT)
        _, stderr = owner.communicate(timeout=20)
    assert "KeyboardInterrupt" in stderr
    assert wait_until_gone(worker)


def stdin_of(data: bytes):
    return type("Stdin", (), {"buffer": io.BytesIO(data)})()


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (b"just text\n", "text/plain"),
        (b"<!DOCTYPE html><p>just text", "text/html"),
        (None, "application/pdf"),
    ],
)
def test_standard_input_is_sniffed(monkeypatch, pdf, data, media_type):
    data = pdf.pages("just text") if data is None else data
    monkeypatch.setattr(sys, "stdin", stdin_of(data))
    document = read_document("-")
    assert (document.source, document.title) == ("-", "standard input")
    assert document.media_type == media_type
    assert document.text.strip() == "just text"
    assert document.sha256 == hashlib.sha256(data).hexdigest()


def test_empty_or_endless_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", stdin_of(b""))
    with pytest.raises(NoTextError, match="standard input: is empty"):
        read_document("-")
    monkeypatch.setattr(sys, "stdin", stdin_of(b"x" * (3 << 20)))
    with pytest.raises(LimitError, match="longer than 2 MiB"):
        read_document("-", limits=Limits(file_bytes=2 << 20))


def test_missing_folder_and_forbidden(tmp_path):
    with pytest.raises(UnreadableError, match=r"nowhere\.pdf: does not exist"):
        read_document(tmp_path / "nowhere.pdf")
    with pytest.raises(UnreadableError, match="is a folder"):
        read_document(tmp_path)
    with pytest.raises(UnreadableError, match="no valid file name"):
        read_document("null\0byte.pdf")


def test_a_file_that_fails_while_it_is_read_is_its_own_failure(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("text")
    with DocumentReader() as reader:
        with monkeypatch.context() as patch:
            patch.setattr(reader_module, "detect", _fail_as_a_disk)
            with pytest.raises(UnreadableError, match=r"a\.txt: cannot be read: Input/output"):
                reader.read(tmp_path / "a.txt")
        assert reader.read(tmp_path / "a.txt").text.strip() == "text"


def _fail_as_a_disk(*_):
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_closed_standard_input_is_told(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with (
        DocumentReader() as reader,
        pytest.raises(UnreadableError, match="standard input: is closed"),
    ):
        reader.read("-")


@POSIX
def test_odd_file_names(tmp_path, pdf):
    for raw in (b"caf\xe9.pdf", b"new\nline\x1b[31m.html", b" blank .txt"):
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + raw))
        path.write_bytes(pdf.pages("text") if raw.endswith(b"pdf") else b"text")
        document = read_document(path)
        assert document.text.strip() == "text"
        assert document.source.encode("utf-8").isascii() or "é" in document.source
        assert "\n" not in document.source and "\x1b" not in document.source
        path.unlink()
        with pytest.raises(UnreadableError) as caught:
            read_document(path)
        assert str(caught.value).startswith(document.source)


def test_file_size_limit(tmp_path):
    path = tmp_path / "big.pdf"
    with path.open("wb") as file:
        file.truncate(3 << 20)
    with pytest.raises(LimitError, match="3 MiB large"):
        read_document(path, limits=Limits(file_bytes=1 << 20))


@pytest.mark.parametrize(
    ("size", "seconds"), [(0, 30), (1 << 20, 90), (10 << 20, 630), (1 << 40, 3600)]
)
def test_time_grows_with_the_file_and_has_an_end(size: int, seconds: int) -> None:
    assert Limits().seconds_for(size) == seconds


def test_pages_that_trickle_get_no_more_than_the_total(monkeypatch):
    waits: list[float] = []

    def page(_worker: WorkerProcess, seconds: float):
        waits.append(seconds)
        return {"section": ["", None]}, 0.3

    monkeypatch.setattr(WorkerProcess, "_next", page)
    worker = WorkerProcess(Limits(seconds=1.0, seconds_per_mib=0.0))
    try:
        for _ in zip(range(3), worker.messages(b"/nowhere", "a.html", 0), strict=False):
            pass
    finally:
        worker.kill()
    assert waits[:3] == pytest.approx([1.0, 0.7, 0.4])


@LINUX
def test_processor_time_of_documents_before_is_not_counted(monkeypatch):
    import resource

    used = types.SimpleNamespace(ru_utime=100.0, ru_stime=20.0)
    limits: list[tuple[int, tuple[int, int]]] = []
    monkeypatch.setattr(resource, "getrusage", lambda _who: used)
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (resource.RLIM_INFINITY,) * 2)
    monkeypatch.setattr(resource, "setrlimit", lambda *both: limits.append(both))
    worker_module._limit_processor_time(Limits(seconds=5.0, seconds_per_mib=0), 0)
    assert limits == [(resource.RLIMIT_CPU, (127, resource.RLIM_INFINITY))]


@LINUX
def test_a_worker_that_keeps_much_memory_says_so():
    assert worker_module._is_swollen(Limits(memory_bytes=1 << 20))
    assert not worker_module._is_swollen(Limits(memory_bytes=1 << 50))


def test_the_worker_runs_the_code_of_its_owner(html, tmp_path, monkeypatch):
    """Another installation of the package, later in the search path, is not taken."""
    other = tmp_path / "site" / "sharedcli"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise SystemExit(3)")
    mine = str(Path(sharedcli.__file__).parents[1])
    monkeypatch.setattr(sys, "path", [mine, str(other.parent), *sys.path])
    assert read_document(html).text.strip() == "hello"


@POSIX
def test_worker_ignores_a_current_folder_that_python_m_searches(tmp_path, monkeypatch, html):
    mark = tmp_path / "executed"
    (tmp_path / "selectolax.py").write_text(f"open({str(mark)!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert read_document(html).text.strip() == "hello"
    assert not mark.exists()
