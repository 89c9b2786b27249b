"""Whole runs on a tiny base: resumed, interrupted, broken and refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from sharedcli.errors import CorruptionError, OutOfMemoryError, SharedCLIError, UsageError
from sharedcli.model.adapter import Adapter, load_adapter
from sharedcli.training import curve
from sharedcli.training.estimate import estimate
from sharedcli.training.fused import FusedStep
from sharedcli.training.objective import TrainingStep
from sharedcli.training.observer import Observer
from sharedcli.training.prepare import Job
from sharedcli.training.recipe_files import load_recipe
from sharedcli.training.run import train
from sharedcli.training.shortcut import Fitted
from sharedcli.training.shortcut_run import with_shortcut
from sharedcli.training.signals import InterruptedTraining
from sharedcli.training.state import checkpoints

TIMES = ("seconds", "tokens_per_second", "peak_share")


class Record(Observer):
    """Keeps what it is told; ``at`` calls a function once at a step."""

    def __init__(self, at: int = -1, call: Callable[[], Any] = lambda: None) -> None:
        self.sentences: list[str] = []
        self.steps: list[dict[str, Any]] = []
        self.shares: list[float] = []
        self._at, self._call = at, call

    def told(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def stepped(self, record: dict[str, Any], share: float) -> None:
        self.steps.append(record)
        self.shares.append(share)
        if record["step"] == self._at:
            self._call()


def _metrics(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return [{k: v for k, v in row.items() if k not in TIMES} for row in rows]


def _equal(one: Path, other: Path) -> None:
    """Assert that two runs ended in the same adapter, optimiser state and metrics, to the bit."""
    for name in ("adapter.safetensors", "optimizer.safetensors"):
        left, right = (load_file(checkpoints(p / "checkpoints")[-1] / name) for p in (one, other))
        assert left.keys() == right.keys()
        assert all(left[key].equal(right[key]) for key in left)
    assert _metrics(one) == _metrics(other)


def test_a_run_leaves_an_adapter_that_loads_and_its_metrics(
    toy_job: Callable[..., Job], tiny_base: Callable[..., Any]
) -> None:
    seen = Record()
    folder = train(toy_job("evaluation.every_steps=3"), seen)
    adapter = load_adapter(folder, tiny_base().model)
    assert adapter.config.trained
    assert adapter.config.steps == 6
    assert adapter.config.tokens == sum(row["tokens"] for row in seen.steps)
    assert adapter.config.base["weights_sha256"] == tiny_base().identity.weights_sha256
    assert seen.shares == sorted(seen.shares)
    assert seen.shares[-1] == 1
    rows = _metrics(folder.parent)
    assert [row["step"] for row in rows if "heldout" in row] == [0, 3, 6]
    held = rows[-1]["heldout"]["losses"]
    assert held.keys() >= {"none", "full", "injected@2", "injected@8", "shuffled@8", "other@8"}
    untrained = rows[0]["heldout"]["losses"]
    assert untrained["none"] == untrained["base_none"]
    assert untrained["full"] == untrained["base_full"]
    assert held["none"] != held["base_none"]
    assert held["base_none"] == untrained["base_none"]
    assert rows[1]["loss"] > rows[-2]["loss"] or held["none"] < untrained["none"]
    assert [p.name for p in checkpoints(folder.parent / "checkpoints")] == [
        "step-00000004",
        "step-00000006",
    ]


KILLED = """
import os, pickle, signal, sys
from sharedcli.training.observer import Observer
from sharedcli.training.run import train
from sharedcli.training.shortcut import Fitted
from sharedcli.training.shortcut_run import with_shortcut

class Killer(Observer):
    def stepped(self, record, share):
        if record["step"] == 5:
            os.kill(os.getpid(), signal.SIGKILL)

train(pickle.load(sys.stdin.buffer), Killer())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_and_resumed_run_equals_an_uninterrupted_one(
    toy_job: Callable[..., Job], tmp_path: Path
) -> None:
    import pickle

    changes = ("stages.objective.distillation=0.5", "stages.accumulate=2", "save_steps=3")
    job = toy_job(*changes)
    code = f"import torch; torch.set_num_threads({torch.get_num_threads()}){KILLED}"
    done = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(job), capture_output=True, timeout=240
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert [p.name for p in checkpoints(job.output / "checkpoints")] == ["step-00000003"]
    seen = Record()
    train(job, seen)
    assert [row["step"] for row in seen.steps] == [4, 5, 6]
    whole = replace(job, output=tmp_path / "whole")
    train(whole, Record())
    _equal(job.output, whole.output)


def test_the_seed_decides_the_run(toy_job: Callable[..., Job], tmp_path: Path) -> None:
    one, two = toy_job(output=tmp_path / "1"), toy_job(output=tmp_path / "2")
    three = toy_job("seed=1", output=tmp_path / "3")
    for job in (one, two, three):
        train(job, Record())
    _equal(one.output, two.output)
    assert _metrics(three.output) != _metrics(one.output)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_the_last_whole_step_and_the_run_goes_on(
    toy_job: Callable[..., Job], tmp_path: Path, number: signal.Signals
) -> None:
    job = toy_job("save_steps=0", "save_minutes=0")
    before = signal.getsignal(number)
    stop = Record(at=3, call=lambda: os.kill(os.getpid(), number))
    with pytest.raises(InterruptedTraining, match="stopped after step 3; the same command") as e:
        train(job, stop)
    assert e.value.exit_code == 130
    assert signal.getsignal(number) is before
    assert [p.name for p in checkpoints(job.output / "checkpoints")] == ["step-00000003"]
    train(job, Record())
    whole = replace(job, output=tmp_path / "whole")
    train(whole, Record())
    _equal(job.output, whole.output)


def test_a_signal_while_a_step_is_made_leaves_that_step_once(
    toy_job: Callable[..., Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = toy_job("save_steps=0", "save_minutes=0")
    made, step = [0], torch.optim.AdamW.step

    def signalled(self: torch.optim.AdamW, *arguments: Any) -> Any:
        made[0] += 1
        if made[0] == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", signalled)
        with pytest.raises(InterruptedTraining, match="stopped after step 3"):
            train(job, Record())
    train(job, Record())
    whole = replace(job, output=tmp_path / "whole")
    train(whole, Record())
    _equal(job.output, whole.output)


def test_what_was_measured_before_a_run_began_anew_is_forgotten(
    toy_job: Callable[..., Job],
) -> None:
    job = toy_job("steps=1")
    train(job, Record())
    train(replace(job, fresh=True), Record())
    assert [row["step"] for row in _metrics(job.output) if row["step"] == 0] == [0]


def test_more_steps_extend_a_finished_run(toy_job: Callable[..., Job]) -> None:
    train(toy_job(), Record())
    again, more = Record(), Record()
    train(toy_job(), again)
    assert again.steps == []
    train(toy_job("steps=8"), more)
    assert [row["step"] for row in more.steps] == [7, 8]


def test_another_recipe_or_data_does_not_continue_a_run(
    toy_job: Callable[..., Job], asked_text: Path
) -> None:
    job = toy_job("steps=2")
    train(job, Record())
    with pytest.raises(UsageError, match=r"another stages\.0\.optimiser\.learning_rate; give anot"):
        train(toy_job("steps=2", "stages.optimiser.learning_rate=0.5"), Record())
    with pytest.raises(UsageError, match="another data"):
        train(replace(job, data=(*job.data, str(asked_text))), Record())
    seen = Record()
    train(toy_job("steps=2", "stages.optimiser.learning_rate=0.5", fresh=True), seen)
    assert len(seen.steps) == 2


def test_a_damaged_checkpoint_is_passed_over_for_an_older_one(
    toy_job: Callable[..., Job],
) -> None:
    job = toy_job()
    train(job, Record())
    newest = checkpoints(job.output / "checkpoints")[-1]
    file = newest / "optimizer.safetensors"
    data = bytearray(file.read_bytes())
    data[-3] ^= 1  # one bit: safetensors itself would not notice
    file.write_bytes(data)
    seen = Record()
    train(job, seen)
    assert [row["step"] for row in seen.steps] == [5, 6]
    assert any("optimizer.safetensors is damaged" in sentence for sentence in seen.sentences)
    for path in checkpoints(job.output / "checkpoints"):
        (path / "state.json").write_text("{")
    with pytest.raises(CorruptionError, match="delete the folder to begin again"):
        train(job, Record())


def _spoil(monkeypatch: pytest.MonkeyPatch, steps: set[int]) -> None:
    """Make the losses of these forward passes (counted from 1) NaN."""
    forward, count = TrainingStep.forward, [0]

    def spoilt(self: TrainingStep, *args: Any) -> Any:
        count[0] += 1
        losses = forward(self, *args)
        if count[0] in steps:
            losses["total"] = losses["total"] * torch.nan
        return losses

    monkeypatch.setattr(TrainingStep, "forward", spoilt)


def test_steps_without_a_number_are_skipped_and_counted(
    toy_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    _spoil(monkeypatch, {2, 4})
    seen = Record()
    folder = train(toy_job(), seen)
    assert [row["skipped"] for row in seen.steps] == [False, True, False, True, False, False]
    assert all(t.isfinite().all() for t in load_file(folder / "adapter.safetensors").values())
    assert _metrics(folder.parent)[2]["loss"] is None
    state = json.loads((checkpoints(folder.parent / "checkpoints")[-1] / "state.json").read_text())
    assert state["progress"]["bad_steps"] == 2


def test_too_many_bad_steps_in_a_row_end_the_run(
    toy_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    _spoil(monkeypatch, {2, 3, 4})
    with pytest.raises(SharedCLIError, match="loss of 3 steps in a row was not a number, up to st"):
        train(toy_job("bad_steps=3"), Record())


def test_out_of_memory_says_what_to_lower(
    toy_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: TrainingStep, *args: Any) -> Any:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(TrainingStep, "forward", full)
    with pytest.raises(OutOfMemoryError) as caught:
        train(toy_job(), Record())
    message = str(caught.value)
    assert "2 x 24 running tokens" in message
    assert "stages.batch" in message
    assert "checkpointing=true" in message


def test_checkpointing_changes_no_number(toy_job: Callable[..., Job], tmp_path: Path) -> None:
    kept = toy_job("steps=2", "fused=false", output=tmp_path / "1")
    again = toy_job("steps=2", "checkpointing=true", output=tmp_path / "2")
    for job in (kept, again):
        train(job, Record())
    _equal(kept.output, again.output)


@pytest.mark.parametrize("fused", [False, True])
def test_what_a_frozen_compressor_and_a_teacher_make_is_kept(
    toy_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, fused: bool
) -> None:
    from sharedcli.training import loop

    kind = FusedStep if fused else TrainingStep
    taught, compressed = [], []
    teach, compress = loop.teach, kind.compress
    monkeypatch.setattr(loop, "teach", lambda *a: (taught.append(1), teach(*a))[1])
    monkeypatch.setattr(kind, "compress", lambda *a: (compressed.append(1), compress(*a))[1])
    train(
        toy_job(
            "steps=9",
            f"fused={str(fused).lower()}",
            "stages.pool=3",
            "stages.curriculum=[{context_tokens=[100], running_tokens=[24]}]",
            "stages.draw.no_context=0.0",
            "stages.objective.distillation=1.0",
            "trainable.compressor=false",
            "evaluation.samples=0",
        ),
        Record(),
    )
    assert (len(taught), len(compressed)) == (3, 3)


def test_questions_train_on_a_base_with_and_without_a_chat_template(
    toy_job: Callable[..., Job],
    asked_text: Path,
    tiny_folder: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    import shutil

    shape = ("stages.curriculum.context_tokens=[128]", "steps=2")
    seen = Record()
    train(toy_job(*shape, recipe="qa", data=(str(asked_text),)), seen)
    assert not any("chat template" in sentence for sentence in seen.sentences)
    assert all(row["targets"] > 0 for row in seen.steps)
    plain = tmp_path / "plain"
    shutil.copytree(tiny_folder("llama"), plain)
    for name in ("chat_template.jinja", "chat_template.json"):
        (plain / name).unlink(missing_ok=True)
    config = json.loads((plain / "tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    (plain / "tokenizer_config.json").write_text(json.dumps(config))
    job = toy_job(
        *shape, recipe="qa", data=(str(asked_text),), model=str(plain), output=tmp_path / "p"
    )
    train(job, seen)
    assert any("has no chat template: questions are asked as" in s for s in seen.sentences)


def test_both_stages_of_default_run_in_order(
    toy_job: Callable[..., Job], asked_text: Path, long_text: Path
) -> None:
    seen = Record()
    train(toy_job(recipe="default", data=(str(long_text), str(asked_text))), seen)
    assert [row["stage"] for row in seen.steps] == ["lm"] * 2 + ["mixed"] * 4


@pytest.mark.filterwarnings("error:.*autograd kernel was not registered")
def test_a_four_bit_base_trains(toy_job: Callable[..., Job]) -> None:
    pytest.importorskip("bitsandbytes")
    seen = Record()
    train(toy_job("steps=2", quantization="bnb-4bit"), seen)
    assert all(row["norm"] > 0 and not row["skipped"] for row in seen.steps)


def test_only_the_parts_that_train_change(toy_job: Callable[..., Job]) -> None:
    bare = "stages.draw.no_context=0.5"  # of no use where the decoder does not train
    job = toy_job("trainable.decoder=false", "adapter.slot_bias=true", "save_steps=1", bare)
    train(job, Record())
    first, last = (
        load_file(p / "adapter.safetensors") for p in checkpoints(job.output / "checkpoints")
    )
    changed = {name.split(".")[0] for name in last if not first[name].equal(last[name])}
    assert changed == {"compressor", "slot_bias"}


def test_the_lowest_layers_can_be_tuned_in_full(
    toy_job: Callable[..., Job], tiny_base: Callable[..., Any]
) -> None:
    job = toy_job("adapter.full_layers=true", "adapter.decoder_rank=0", "evaluation.every_steps=3")
    folder = train(job, Record())
    adapter = load_adapter(folder, tiny_base().model)
    layer = tiny_base().model.model.layers[0].self_attn.q_proj
    weights = {name: tuple(p.shape) for name, p in adapter.named_parameters()}
    assert weights["compressor.updates.0_q_proj.weight"] == tuple(layer.weight.shape)
    assert {name.split(".")[2].split("_")[0] for name in weights} == {"0", "1"}
    still = {name for name, parameter in adapter.named_parameters() if not parameter.any()}
    # of its last layer the compressor uses keys and values alone
    assert still == {
        f"compressor.updates.1_{part}_proj.weight" for part in ("q", "o", "gate", "up", "down")
    }
    untrained = _metrics(job.output)[0]["heldout"]["losses"]
    assert untrained["none"] == untrained["base_none"]


def test_a_new_run_can_begin_from_an_adapter(toy_job: Callable[..., Job], tmp_path: Path) -> None:
    first = train(toy_job(), Record())
    job = toy_job("steps=1", "stages.optimiser.learning_rate=1e-9", output=tmp_path / "next")
    told = Record()
    second = train(replace(job, adapter=first), told)
    assert not any("keeps" in sentence for sentence in told.sentences)
    left, right = (load_file(f / "adapter.safetensors") for f in (first, second))
    assert all(torch.allclose(left[name], right[name], atol=1e-6) for name in left)


def test_a_form_that_the_recipe_plans_and_the_adapter_has_not_is_told(
    toy_job: Callable[..., Job], tmp_path: Path
) -> None:
    first = train(toy_job("steps=1", "adapter.decoder_rank=3"), Record())
    told = Record()
    job = toy_job("steps=1", "adapter.decoder_rank=5", output=tmp_path / "next")
    train(replace(job, adapter=first), told)
    kept = f"going on from {first}, which keeps decoder_rank 3 (the recipe has 5)"
    assert kept in told.sentences


def test_an_adapter_whose_compressor_stays_names_whose_trees_it_reads(
    toy_job: Callable[..., Job], tiny_base: Callable[..., Any], tmp_path: Path
) -> None:
    def go_on(name: str, begun: Path, *overrides: str) -> Adapter:
        job = toy_job("steps=1", *overrides, output=tmp_path / name)
        return load_adapter(train(replace(job, adapter=begun), Record()), tiny_base().model)

    first = train(toy_job(), Record())
    frozen = ("trainable.compressor=false", "trainable.injection=false")
    digest = load_adapter(first, tiny_base().model).digest()
    assert go_on("second", first, *frozen).config.trees == digest
    assert go_on("third", tmp_path / "second" / "adapter", *frozen).config.trees == digest
    assert go_on("fourth", tmp_path / "second" / "adapter").config.trees == ""


def test_a_shortcut_stays_where_the_compressor_does(
    toy_job: Callable[..., Job], tiny_base: Callable[..., Any], tmp_path: Path
) -> None:
    base = tiny_base().model
    begun = load_adapter(train(toy_job(), Record()), base)
    rows = 2 * base.config.num_key_value_heads * base.config.head_dim
    fitted = Fitted(torch.ones(1, rows, base.config.hidden_size), torch.ones(1, rows), 0, 0, 1)
    with_shortcut(begun, base, fitted, (1, 2)).save(tmp_path / "short")

    def go_on(name: str, *overrides: str) -> Adapter:
        job = toy_job("steps=1", *overrides, output=tmp_path / name)
        job = replace(job, adapter=tmp_path / "short")
        return load_adapter(train(job, Record()), base)

    kept = go_on("kept", "trainable.compressor=false", "trainable.injection=false")
    assert kept.shortcut_weight is not None
    assert torch.equal(kept.shortcut_weight, fitted.weight)
    assert kept.config.geometry.exit_layer == 1
    other = go_on("other")
    assert other.shortcut_weight is None
    assert (other.config.shortcut_end, other.config.geometry.exit_layer) == (0, 0)


def test_a_decoder_that_is_taught_to_abstain_is_said_to_and_stays_so(
    toy_job: Callable[..., Job], tiny_base: Callable[..., Any], tmp_path: Path
) -> None:
    def taught(name: str, begun: Path | None, *overrides: str) -> bool:
        job = toy_job("steps=1", *overrides, output=tmp_path / name)
        folder = train(replace(job, adapter=begun), Record())
        return load_adapter(folder, tiny_base().model).config.abstains

    absent = "stages.draw.absent=0.5"
    assert not taught("first", None)
    assert taught("second", None, absent)
    assert taught("third", tmp_path / "first" / "adapter", absent)
    assert taught("fourth", tmp_path / "third" / "adapter")
    frozen = ("trainable.decoder=false", absent)
    assert not taught("fifth", tmp_path / "first" / "adapter", *frozen)


def test_the_curve_is_drawn_or_its_absence_told(
    toy_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    job = toy_job("steps=2")
    train(job, Record())
    assert (job.output / "curve.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(curve.importlib.util, "find_spec", lambda name: None)
    (job.output / "curve.png").unlink()
    seen = Record()
    train(toy_job("steps=3"), seen)
    assert any("pip install 'sharedcli[train]'" in sentence for sentence in seen.sentences)
    assert not (job.output / "curve.png").exists()


def test_an_estimate_counts_what_a_run_counts(toy_job: Callable[..., Job]) -> None:
    job = toy_job("steps=40")
    found = estimate(job, Record())
    assert not job.output.exists()
    assert found.steps == 40
    seen = Record()
    train(replace(job, recipe=replace(job.recipe, steps=12)), seen)
    mean = sum(row["tokens"] for row in seen.steps) / len(seen.steps)
    assert found.tokens_per_step == pytest.approx(mean, rel=0.15)
    assert found.tokens == pytest.approx(40 * found.tokens_per_step)
    assert all(time.seconds > 0 for time in found.times)
    assert found.trained["compressor"] > 0
    assert json.dumps(found.to_plain())


def test_a_run_without_an_end_is_refused(toy_job: Callable[..., Job]) -> None:
    with pytest.raises(UsageError, match="give --steps or --minutes"):
        train(toy_job("steps=0"), Record())


def test_a_budget_of_minutes_ends(toy_job: Callable[..., Job]) -> None:
    seen = Record()
    train(toy_job("steps=0", "minutes=0.002", "evaluation.samples=0"), seen)
    assert seen.steps
    assert sum(row["seconds"] for row in seen.steps[:-1]) < 0.12
    assert load_recipe("lm").minutes > 0


def test_two_processes_train_like_one_that_accumulates_two_batches(
    toy_job: Callable[..., Job], tmp_path: Path
) -> None:
    import pickle

    one = toy_job("steps=3", "stages.accumulate=2", output=tmp_path / "one")
    two = toy_job("steps=3", output=tmp_path / "two")
    script, pickled = tmp_path / "script.py", tmp_path / "job"
    pickled.write_bytes(pickle.dumps(two))
    script.write_text(
        "import pathlib, pickle\n"
        "from sharedcli.training.observer import Observer\n"
        "from sharedcli.training.run import train\n"
        f"train(pickle.loads(pathlib.Path({str(pickled)!r}).read_bytes()), Observer())\n"
    )
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    done = subprocess.run([*launch, str(script)], capture_output=True, timeout=240)
    assert done.returncode == 0, done.stderr.decode()
    train(one, Record())
    left, right = (load_file(job.output / "adapter" / "adapter.safetensors") for job in (one, two))
    # processes have a thread each, so sums round otherwise; a step that is not shared changes 1e-3
    assert all(torch.allclose(left[name], right[name], atol=1e-5) for name in left)
    mine, theirs = ([row for row in _metrics(j.output) if "loss" in row] for j in (one, two))
    for row, other in zip(mine, theirs, strict=True):
        assert (row["tokens"], row["targets"]) == (other["tokens"], other["targets"])
        assert row["loss"] == pytest.approx(other["loss"], abs=1e-4)
