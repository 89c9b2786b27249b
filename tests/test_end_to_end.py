"""The whole way with the real default model: index the sample, ask, get the fact and its page."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sharedcli.cli.run import run

pytestmark = pytest.mark.default_model

SAMPLE = Path(__file__).parents[1] / "sharedcli" / "samples" / "halvard-ridge.pdf"
WEIGHTS = Path(__file__).parents[1] / "sharedcli" / "weights"
QUESTION = "What is the call sign of the station?"
FACT = "Ridge Nine"
PAGE_LABEL = "4"  # "Emergencies and the radio", by the contents of the document


@pytest.fixture(scope="module")
def store(default_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The sample, indexed with nothing but defaults; the user's settings are not seen."""
    folder = tmp_path_factory.mktemp("whole")
    index = ["index", str(SAMPLE), "--store", str(folder / "store"), "-q"]
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("SHAREDCLI_")]:
            patch.delenv(name)
        patch.setenv("XDG_CONFIG_HOME", str(folder))
        patch.chdir(folder)
        assert run([*index, "--cache", str(default_model), "--offline"]) == 0
        yield folder / "store"


@pytest.fixture
def ask(
    store: Path, default_model: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[str, str]]:
    def call(*flags: str) -> tuple[str, str]:
        capsys.readouterr()
        places = ["--store", str(store), "--cache", str(default_model), "--offline"]
        assert run(["ask", QUESTION, *places, "--max-tokens", "24", *flags]) == 0
        captured = capsys.readouterr()
        return captured.out, captured.err

    return call


def _has_shipped_adapter() -> bool:
    return any(WEIGHTS.glob("*/adapter.json"))


@pytest.mark.parametrize(
    "inject",
    [
        "never",
        pytest.param(
            "auto",
            marks=pytest.mark.skipif(
                not _has_shipped_adapter(), reason="the package ships no adapter yet"
            ),
        ),
    ],
)
def test_the_fact_and_its_page(ask: Callable[..., tuple[str, str]], inject: str) -> None:
    out, err = ask("--json", "--inject", inject)
    found: dict[str, Any] = json.loads(out)
    assert found["found"] is True
    assert FACT in found["answer"]
    assert "\ufffd" not in found["answer"]
    best = found["citations"][0]
    assert (best["label"], best["verbatim"]) == (PAGE_LABEL, True)
    assert best["doc"] == str(SAMPLE)
    assert f"call sign of the station is {FACT}" in best["quote"]
    assert (found["usage"]["slots"] > 0) == (inject == "auto")
    assert 0 < found["usage"]["answer_tokens"] <= 24
    assert "Traceback" not in err


def test_what_a_person_reads(ask: Callable[..., tuple[str, str]]) -> None:
    out, err = ask("--inject", "never", "--no-color")
    assert FACT in out
    assert SAMPLE.name in err
    assert f"printed {PAGE_LABEL}" in err
