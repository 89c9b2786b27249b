"""Drafts from what was read: the newest occurrence of the longest run."""

from __future__ import annotations

from sharedcli.model.prompt_lookup import PromptLookup


def test_what_followed_before_is_drafted() -> None:
    assert PromptLookup([1, 2, 3, 4, 5, 1, 2]).draft(2) == [3, 4]


def test_a_longer_run_beats_a_newer_short_one() -> None:
    text = [7, 1, 2, 30, 8, 1, 2, 40, 7, 1, 2]
    assert PromptLookup(text).draft(1) == [30]


def test_the_newest_of_equal_runs_counts() -> None:
    assert PromptLookup([1, 2, 3, 0, 1, 2, 4, 0, 1, 2]).draft(1) == [4]


def test_nothing_is_drafted_of_what_was_never_read() -> None:
    assert PromptLookup([]).draft(3) == []
    assert PromptLookup([1]).draft(3) == []
    assert PromptLookup([1, 2, 3]).draft(3) == []
    assert PromptLookup([1, 2, 1, 2]).draft(0) == []


def test_a_draft_ends_where_the_text_ends() -> None:
    assert PromptLookup([5, 5, 5]).draft(4) == [5]


def test_what_is_said_counts_too() -> None:
    lookup = PromptLookup([1, 2])
    for token in (3, 1, 2):
        lookup.append(token)
    assert lookup.draft(3) == [3, 1, 2]
