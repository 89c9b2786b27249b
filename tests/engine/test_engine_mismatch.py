"""A tree serves the makers it names, however they read it: others are refused, by what differs.

One library, asked by an engine that differs in one thing at a time.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from sharedcli.engine import loading
from sharedcli.engine.engine import Engine
from sharedcli.errors import ModelMismatchError
from sharedcli.settings import Settings
from sharedcli.store import identity as identities

QUESTION = "What did the lamp burn?"


@pytest.fixture(scope="module")
def asked(tiny_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings under which a document was indexed, and can be asked about."""
    place = tmp_path_factory.mktemp("mismatch")
    shutil.copytree(tiny_folder("llama"), place / "model")
    (place / "note.txt").write_text("The lamp of the station burned colza oil at night.\n" * 9)
    settings = Settings(
        store=place / "store",
        cache=place / "cache",
        model=str(place / "model"),
        device="cpu",
        dtype="float32",
        adapter="none",
        offline=True,
        inject="always",
        max_tokens=2,
        chunk_tokens=64,
        depth=2,
        slots_per_node=4,
    )
    with Engine(settings) as engine:
        list(engine.index([str(place / "note.txt")]))
        assert engine.ask(QUESTION).read() is not None
        adapter = engine.model().shared.adapter
        adapter.save(place / "adapter")
    return settings


def refused(settings: Settings) -> str:
    with Engine(settings) as engine, pytest.raises(ModelMismatchError) as caught:
        engine.ask(QUESTION)
    assert "sharedcli index --force" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"dtype": "bfloat16"}, "dtype was 'float32', is 'bfloat16'"),
        ({"chunk_tokens": 128, "slots_per_node": 4}, "geometry.chunk_tokens was 64, is 128"),
        ({"depth": 1}, "geometry.depth was 2, is 1"),
        ({"slots_per_node": 2}, "geometry.slots_per_node was 4, is 2"),
        ({"levels": "nested"}, "geometry.levels was 'per_node', is 'nested'"),
        ({"slot_choice": "mean"}, "geometry.slot_choice was"),
    ],
)
def test_other_settings(asked: Settings, changes: dict[str, Any], name: str) -> None:
    assert name in refused(replace(asked, **changes))


def test_another_adapter(asked: Settings) -> None:
    assert "adapter was 'none'" in refused(
        replace(asked, adapter=str(Path(asked.model).parent / "adapter"))
    )


def test_another_model(asked: Settings, tiny_folder: Callable[[str], Path]) -> None:
    message = refused(replace(asked, model=str(tiny_folder("qwen2"))))
    assert "model was 'model'" in message
    assert "weights was" in message


def copied(asked: Settings, tmp_path: Path) -> Settings:
    """The same model in another folder of the same name: still the same model."""
    shutil.copytree(asked.model, tmp_path / "model")
    changed = replace(asked, model=str(tmp_path / "model"))
    with Engine(changed) as engine:
        assert engine.ask(QUESTION).found
    return changed


def test_another_revision_of_the_weights(asked: Settings, tmp_path: Path) -> None:
    """What a moved branch or tag brings: the same name, other numbers."""
    changed = copied(asked, tmp_path)
    file = tmp_path / "model" / "model.safetensors"
    tensors = load_file(file)
    name = sorted(tensors)[-1]
    tensors[name] = tensors[name] + 1e-3
    save_file(tensors, file, metadata={"format": "pt"})
    message = refused(changed)
    assert "weights was" in message
    assert "model was" not in message


def test_another_tokenizer(asked: Settings, tmp_path: Path) -> None:
    changed = copied(asked, tmp_path)
    file = tmp_path / "model" / "tokenizer.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    content["model"]["merges"] = content["model"]["merges"][:-1]
    file.write_text(json.dumps(content), encoding="utf-8")
    assert "tokenizer was" in refused(changed)


def test_another_quantization(asked: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    real = loading.load_model

    def quantised(*arguments: Any) -> Any:
        model = real(*arguments)
        other = replace(model.base.identity, quantization="bnb-4bit")
        return replace(model, base=replace(model.base, identity=other))

    monkeypatch.setattr(loading, "load_model", quantised)
    assert "quantization was 'none', is 'bnb-4bit'" in refused(asked)


def test_another_way_to_apply_the_updates_is_none_to_the_slots(
    asked: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "is_mergeable", lambda _model: False)
    with Engine(asked) as engine:
        (record,) = engine.documents()
        assert engine.store().identity(record.id).compressor == "merged"
        assert engine.model().tree_identity(asked, "none").compressor == "hooks"
        *_, done = engine.index([str(asked.store.parent / "note.txt")])
        assert done.counts.unchanged == 1
        assert engine.ask(QUESTION).read() is not None


def test_an_identity_from_before_that_choice_keeps_its_digest(asked: Settings) -> None:
    with Engine(asked) as engine:
        (record,) = engine.documents()
        merged = engine.store().identity(record.id)
    hooks = replace(merged, compressor="hooks")
    assert "compressor" not in json.loads(hooks.to_json())
    assert json.loads(merged.to_json())["compressor"] == "merged"
    assert hooks.digest != merged.digest
    for one in (hooks, merged):
        assert identities.TreeIdentity.from_json(one.to_json()) == one


def test_another_meaning_of_the_tensors(asked: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    real = loading.LoadedModel.tree_identity
    newer = identities.TREE_FORMAT_VERSION + 1
    monkeypatch.setattr(
        loading.LoadedModel,
        "tree_identity",
        lambda *arguments: replace(real(*arguments), format_version=newer),
    )
    assert f"format_version was 1, is {newer}" in refused(asked)


def test_another_slot_format_is_read_as_it_was_written(asked: Settings) -> None:
    answers = []
    for form in (asked.slot_format, "float32", "recompute"):
        with Engine(replace(asked, slot_format=form)) as engine:
            answers.append("".join(engine.ask(QUESTION)))
    assert answers[0] == answers[1] == answers[2]


def test_index_makes_the_tree_anew(asked: Settings, tmp_path: Path) -> None:
    """What was made with other settings, ``index`` does not pass over as unchanged."""
    shutil.copytree(asked.store, tmp_path / "store")
    changed = replace(asked, store=tmp_path / "store", slot_format="float32")
    with Engine(changed) as engine:
        source = engine.documents()[0].source
        (done,) = [event for event in engine.index([source]) if event.kind == "done"]
        assert done.counts is not None
        assert done.counts.changed == 1
        assert engine.ask(QUESTION).found
