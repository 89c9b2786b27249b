"""What a user may type to name documents."""

from pathlib import Path

import pytest

from sharedcli.errors import NoStoreError, UsageError
from sharedcli.store.records import DocumentRecord
from sharedcli.store.selecting import Names


def record(id_: str, source: str, title: str) -> DocumentRecord:
    return DocumentRecord(
        id_, source, title, "text/plain", "0" * 64, 1, 1, 1, True, 1, 1, 1, "i", "2026-01-01"
    )


DOCUMENTS = [
    record("abcd12345678", "/files/report.pdf", "Annual Report"),
    record("abcd99999999", "/files/notes/report.pdf", "Notes"),
    record("ffff00000000", "-", "Standard input"),
    record("eeee00000000", "/files/abcd", "A file named like an id"),
]


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("abcd12345678", [0]),
        ("ABCD12345678", [0]),
        ("abcd1", [0]),
        ("abcd", [3]),  # a file's name goes before the prefix of an id
        ("ffff", [2]),
        ("/files/report.pdf", [0]),
        ("/files/notes/../report.pdf", [0]),
        ("report.pdf", [0, 1]),
        ("annual report", [0]),
        ("*.pdf", [0, 1]),
        ("/files/notes/*", [1]),
        ("-", [2]),
        ("*", [0, 1, 2, 3]),
        ("Ann*", [0]),
    ],
)
def test_selectors(selector: str, found: list[int]) -> None:
    assert Names(DOCUMENTS).select(selector) == [DOCUMENTS[i] for i in found]


def test_relative_paths(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (document,) = [record("1" * 12, str(tmp_path / "a.txt"), "x")]
    assert Names([document]).select("./a.txt") == [document]


def test_nothing_found_says_what_there_is() -> None:
    with pytest.raises(NoStoreError, match=r"'zzz'.*abcd12345678 \(/files/report.pdf\).*sharedcli"):
        Names(DOCUMENTS).select("zzz")
    with pytest.raises(NoStoreError, match="the store is empty"):
        Names([]).select("zzz")
    with pytest.raises(NoStoreError):
        Names(DOCUMENTS).select("abc\0d")
    with pytest.raises(NoStoreError):
        Names(DOCUMENTS).select("ff")  # two digits are no name


def test_a_part_of_a_name_is_told_how_to_be_one() -> None:
    with pytest.raises(NoStoreError, match=r"'epor'; there is abcd12345678 .*; '\*epor\*' does$"):
        Names(DOCUMENTS).select("epor")


def test_one_document_where_one_is_needed() -> None:
    assert Names(DOCUMENTS).select("abcd1", one=True) == [DOCUMENTS[0]]
    with pytest.raises(UsageError, match=r"2 documents match.*abcd12345678.*abcd99999999"):
        Names(DOCUMENTS).select("report.pdf", one=True)


@pytest.mark.parametrize("selector", ["", "  "])
def test_an_empty_selector_is_refused(selector: str) -> None:
    with pytest.raises(UsageError):
        Names(DOCUMENTS).select(selector)
