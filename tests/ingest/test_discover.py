from __future__ import annotations

import os
from pathlib import Path

import pytest

from sharedcli.errors import UsageError
from sharedcli.ingest.discover import find_files
from sharedcli.ingest.ignore import IgnoreRules, is_harmless

POSIX = pytest.mark.skipif(os.name != "posix", reason="links and pipes")


@pytest.fixture
def tree(tmp_path: Path):
    """Make files from a list of relative names; returns the folder."""

    def make(*names: str) -> Path:
        root = tmp_path / "docs"
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("text")
        return root

    return make


def names(root: Path, *args, **options) -> list[str]:
    found = list(find_files([root], *args, **options))
    assert all(file.problem is None for file in found)
    return [file.path.relative_to(root).as_posix() for file in found]


def test_known_kinds_in_stable_order(tree):
    root = tree("b.pdf", "a.md", "B.PDF", "sub/z.txt", "sub/a/x.html", "sub0/y.csv", "README")
    tree("photo.jpg", "data.bin", "noext", "a.docx~")
    expected = ["B.PDF", "README", "a.md", "b.pdf", "sub/z.txt", "sub/a/x.html", "sub0/y.csv"]
    assert names(root) == expected
    assert names(root) == expected


def test_facts_for_the_fast_path(tree):
    root = tree("a.txt")
    (found,) = find_files([root])
    status = (root / "a.txt").stat()
    assert (found.size, found.mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert found.source == str(root / "a.txt")
    assert not found.named


def test_named_files_are_always_tried(tree):
    root = tree("photo.jpg", ".hidden", ".gitignore")
    (root / ".gitignore").write_text("*")
    paths = [root / "photo.jpg", root / ".hidden", "-", root / "missing.pdf"]
    found = list(find_files(paths, exclude=["*"]))
    assert [file.source for file in found] == list(map(str, paths))
    assert all(file.named for file in found)
    assert [bool(file.problem) for file in found] == [False, False, False, True]
    assert "does not exist" in found[3].problem


def test_each_file_once(tree, monkeypatch):
    root = tree("a.txt", "b.txt")
    monkeypatch.chdir(root)
    found = find_files(["b.txt", root, root / "a.txt", root / ".." / "docs" / "b.txt", "."])
    assert [Path(file.source).name for file in found] == ["b.txt", "a.txt"]


def test_hidden_names(tree):
    root = tree("a.txt", ".b.txt", ".cache/c.txt", ".git/d.txt")
    assert names(root) == ["a.txt"]
    assert names(root, hidden=True) == [".b.txt", "a.txt", ".cache/c.txt"]


def test_gitignore_with_precedence(tree):
    root = tree("a.log", "keep.log", "build/x.txt", "sub/b.log", "sub/c.txt", "sub/deep/c.txt")
    (root / ".gitignore").write_text("*.log\n!keep.log\nbuild/\n/sub/c.txt\n")
    (root / "sub" / ".gitignore").write_text("!b.log\ndeep/\n")
    assert names(root) == ["keep.log", "sub/b.log"]
    assert len(names(root, gitignore=False)) == 6


def test_gitignore_above_the_folder_counts_inside_a_repository(tree):
    root = tree("sub/a.tmp.txt", "sub/b.txt")
    (root / ".gitignore").write_text("*.tmp.txt\n")
    assert names(root / "sub") == ["a.tmp.txt", "b.txt"]
    (root / ".git").mkdir()
    assert names(root / "sub") == ["b.txt"]


def test_naming_an_ignored_folder_shows_what_is_in_it(tree):
    root = tree("out/a.txt", "out/b.log")
    (root / ".git").mkdir()
    (root / ".gitignore").write_text("out/\n")
    assert names(root) == []
    assert names(root / "out") == ["a.txt", "b.log"]


def test_include_and_exclude(tree):
    root = tree("a.txt", "b.md", "sub/c.txt", "sub/d.dat", "old/e.txt")
    assert names(root, include=["*.txt"], exclude=["old/"]) == ["a.txt", "sub/c.txt"]
    assert names(root, include=["sub/*"]) == ["sub/c.txt", "sub/d.dat"]
    assert names(root, exclude=["/*.txt"]) == ["b.md", "old/e.txt", "sub/c.txt"]


def test_bad_patterns_of_the_user(tree):
    root = tree("a.txt")
    with pytest.raises(UsageError, match="wildcards"):
        list(find_files([root], include=["*a*a*a*a*a*b"]))
    with pytest.raises(UsageError, match="pattern"):
        list(find_files([root], exclude=["a\\"]))


def test_hostile_ignore_file_costs_nothing(tree):
    root = tree("a" * 200 + ".txt", "b.log")
    (root / ".gitignore").write_bytes(b"*a" * 30 + b"*b\n\xff\xfe\na\\\n*.log\n" + b"x" * 5000)
    assert names(root) == ["a" * 200 + ".txt"]


def test_an_ignore_file_may_not_cost_more_by_being_long(tree):
    root = tree("b.log", "c.tmp", "d.txt")
    costly = "".join(f"*a*a*a{i}\n" for i in range(1000))
    (root / ".gitignore").write_text(costly + "*.log\n" + "# words\n" * 9000 + "*.tmp\n")
    spec = IgnoreRules().entering(root, root.parts).layers[0][1]
    assert len(spec.patterns) == 22
    assert names(root) == ["d.txt"]
    (root / ".gitignore").write_text("".join(f"{i}.x\n" for i in range(6000)) + "*.log\n")
    spec = IgnoreRules().entering(root, root.parts).layers[0][1]
    assert len(spec.patterns) == 5000


@pytest.mark.parametrize("pattern", ["*.py[cod]", "**/build/**", "!/a/*/b*c", "a/**/b/*.tmp"])
def test_common_patterns_are_harmless(pattern):
    assert is_harmless(pattern)


@POSIX
def test_pipes_links_and_loops_are_reported(tree, tmp_path):
    root = tree("a.txt", "sub/b.txt")
    os.mkfifo(root / "pipe.txt")
    (root / "link.txt").symlink_to(root / "a.txt")
    (root / "sub" / "up").symlink_to(root)
    (root / "self").symlink_to(root / "self")
    (root / "dangling.pdf").symlink_to(root / "nowhere")
    (root / "other").symlink_to(root / "sub" / "b.txt")
    problems = {file.path.relative_to(root).as_posix(): file.problem for file in find_files([root])}
    assert [name for name, problem in problems.items() if problem is None] == ["a.txt", "sub/b.txt"]
    assert "pipe" in problems["pipe.txt"]
    for name in ("link.txt", "sub/up", "self", "dangling.pdf"):
        assert "symbolic link" in problems[name]
    assert "other" not in problems


@POSIX
def test_named_links_are_followed(tree, tmp_path):
    root = tree("a.txt")
    link, loop = tmp_path / "link", tmp_path / "loop"
    link.symlink_to(root)
    loop.symlink_to(loop)
    found = list(find_files([link, loop]))
    assert [file.problem is None for file in found] == [True, False]
    assert found[0].path == link / "a.txt"
    assert "circle" in found[1].problem


@POSIX
def test_odd_names(tree):
    root = tree("a.txt")
    for raw in (b"caf\xe9.txt", b"new\nline.txt", b"\x1b[31mred.txt"):
        Path(os.fsdecode(os.fsencode(root) + b"/" + raw)).write_text("text")
    found = list(find_files([root]))
    assert len(found) == 4
    for file in found:
        file.source.encode("utf-8")
        assert file.source.isprintable()
        assert file.path.read_text() == "text"
    assert len({file.source for file in found}) == 4


@POSIX
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read all")
def test_forbidden_folder_is_reported(tree):
    root = tree("a.txt", "closed/b.txt")
    (root / "closed").chmod(0)
    try:
        problems = [file.problem for file in find_files([root])]
    finally:
        (root / "closed").chmod(0o755)
    assert problems[0] is None and "permission" in problems[1]


def test_very_deep_folders_end(tmp_path, monkeypatch):
    folder = tmp_path
    for _ in range(300):
        folder /= "d"
    folder.mkdir(parents=True)
    (folder / "deep.txt").write_text("text")
    assert [file.path.name for file in find_files([tmp_path])] == ["deep.txt"]
