from __future__ import annotations

import pytest

from sharedcli.answer.document_names import distinct_names
from sharedcli.ingest.document import Document


def _documents(*named: tuple[str, str]) -> dict[str, Document]:
    return {
        source: Document(source, title, "text/plain", "0" * 64, "", ()) for source, title in named
    }


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ([("2021.pdf", "Report"), ("notes.txt", "Notes")], ["Report", "Notes"]),
        ([("2021.pdf", "Report"), ("a/2022.pdf", "Report")], ["2021.pdf", "2022.pdf"]),
        ([("21/all.pdf", "Report"), ("22/all.pdf", "Report")], ["21/all.pdf", "22/all.pdf"]),
        (
            [("21/all.pdf", "Report"), ("22/all.pdf", "Report"), ("23/q1.pdf", "Report")],
            ["21/all.pdf", "22/all.pdf", "q1.pdf"],
        ),
        ([("21/all.pdf", "Report"), ("22/all.pdf", "Notes")], ["Report", "Notes"]),
    ],
)
def test_the_first_name_that_no_other_has(named, expected):
    assert list(distinct_names(_documents(*named), {}).values()) == expected


def test_two_files_of_one_relative_path_go_by_the_whole() -> None:
    report = Document("report.txt", "Report", "text/plain", "0" * 64, "", ())
    places = {"a": "/one/report.txt", "b": "/two/report.txt"}
    assert distinct_names({"a": report, "b": report}, places) == places
