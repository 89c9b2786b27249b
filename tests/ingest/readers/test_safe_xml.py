from __future__ import annotations

import pytest

from sharedcli.errors import UnreadableError
from sharedcli.ingest.readers.safe_xml import collect


def test_names_lose_their_prefix_and_text_is_kept() -> None:
    markup = b'<?xml version="1.0" encoding="ISO-8859-1"?><d:a xmlns:d="x" d:k="v"> \xd6l </d:a>'
    assert collect([markup[:30], markup[30:]], "a") == [("a", {"k": "v"}, "\u00d6l")]


@pytest.mark.parametrize("encoding", ["UTF-16-8", "no such thing", "shift_jis", "rot13", "idna"])
def test_an_encoding_that_is_not_known_is_said_so(encoding: str) -> None:
    markup = f'<?xml version="1.0" encoding="{encoding}"?><a>x</a>'.encode()
    with pytest.raises(UnreadableError, match=r"encoding|damaged XML"):
        collect([markup], "a")


@pytest.mark.parametrize(
    "markup", [b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", b"<a>", b"", b"<a>&b;</a>", b"\0"]
)
def test_what_is_refused(markup: bytes) -> None:
    with pytest.raises(UnreadableError):
        collect([markup], "a")
