from __future__ import annotations

SAMPLE = """\
---
title: "A Manual"
# not: a heading
---
Preamble.

# First *big* part #
Text one.

```sh
# a comment, no heading
```

Second part
-----------
- item
---
| a | b |
|---|---|

### [Third](http://x) ###
Text three.
"""


def labels(document):
    return [page.label for page in document.pages]


def test_sections_follow_headings(read):
    document = read("manual.md", SAMPLE)
    assert document.title == "A Manual"
    assert document.media_type == "text/markdown"
    assert not document.paged
    assert labels(document) == [None, "First big part", "Second part", "Third"]
    third = document.pages[3]
    assert document.text[third.start : third.end].startswith("### [Third]")


def test_no_text_is_lost(read):
    document = read("manual.md", SAMPLE)
    assert "".join(document.text.split()) == "".join(SAMPLE.split())


def test_title_from_first_heading(read):
    assert read("x.md", "# Welcome\ntext\n# Other\n").title == "Welcome"
    assert read("y.md", "no heading").title == "y.md"


def test_unclosed_fence_and_front_matter(read):
    assert labels(read("a.md", "# A\n```\n# B\n")) == ["A"]
    assert labels(read("b.md", "---\n# A\ntext")) == ["A"]
    assert labels(read("c.md", "---\nb: 1\n# A\ntext")) == [None, "A"]


def test_code_on_one_line_is_no_fence(read):
    document = read("a.md", "# Install\n\n```npm install```\n\n# Usage\n\nRun it.\n")
    assert labels(document) == ["Install", "Usage"]


def test_underline_after_a_list_or_nothing_is_a_rule(read):
    assert labels(read("c.md", "- item\n---\n\n---\ntext\n")) == [None]
    assert labels(read("d.md", "Title\n===\ntext\n")) == ["Title"]


def test_seven_hashes_and_hashtags_are_text(read):
    assert labels(read("e.md", "####### seven\n#hashtag\ntext\n")) == [None]
