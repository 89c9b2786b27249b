"""Ceilings, memory figures, parameter counts, and what a run is described by."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sharedcli.measuring import ceiling, memory, run_info
from sharedcli.measuring.parameters import Parameters
from sharedcli.model.adapter import Adapter
from sharedcli.model.adapter_config import AdapterConfig

CPU = torch.device("cpu")


def test_a_ceiling_is_operations_over_the_best_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ceiling, "_best", lambda _work, _device: 0.5)
    assert ceiling.measured_flops(CPU, torch.float32) == 2 * 4 * 1024**3 / 0.5
    assert ceiling.measured_bytes(CPU) == 2 * (256 << 20) / 0.5
    assert ceiling.peak_of(CPU, torch.float32, 3).flops == 3 * 2 * 4 * 1024**3 / 0.5
    assert ceiling.peak_of(CPU, torch.float32).origin == "measured"


def test_the_best_of_several_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([0, 5, 10, 12, 20, 29, 30, 38, 40, 44])
    monkeypatch.setattr(ceiling.time, "perf_counter", lambda: next(moments))
    assert ceiling._best(lambda: torch.zeros(1), CPU) == 2


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks cannot be reset")
def test_a_peak_is_seen_and_forgotten() -> None:
    memory.reset_peak(CPU)
    before = memory.peak_resident_bytes()
    block = bytearray(200 << 20)
    held, peak = memory.resident_bytes(), memory.peak_resident_bytes()
    assert before is not None
    assert held is not None
    assert peak is not None
    assert peak - before > 150 << 20
    del block
    memory.reset_peak(CPU)
    assert (memory.peak_resident_bytes() or 0) < peak - (100 << 20)
    assert memory.peak_device_bytes(CPU) is memory.device_bytes(CPU) is None


def test_free_memory_is_known_or_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    status = tmp_path / "meminfo"
    status.write_text("MemTotal: 9 kB\nMemAvailable:    1234 kB\n")
    monkeypatch.setattr(memory, "_MEMORY", status)
    assert memory.available_bytes(CPU) == 1234 * 1024
    monkeypatch.setattr(memory, "_MEMORY", tmp_path / "none")
    monkeypatch.setattr(memory.os, "sysconf", {"SC_AVPHYS_PAGES": 3, "SC_PAGE_SIZE": 10}.get)
    assert memory.available_bytes(CPU) == 30


def test_what_torch_holds_and_does_not_use_is_free_on_a_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (100, 1000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _device: 70)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _device: 30)
    assert memory.available_bytes(torch.device("cuda")) == 140


@pytest.mark.parametrize(
    ("name", "teraflops"),
    [("NVIDIA H200", 989.0), ("NVIDIA L4", 121.0), ("NVIDIA A100-SXM4-80GB", 312.0)],
)
def test_peaks_of_known_gpus_are_of_their_data_sheets(
    name: str, teraflops: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device: name)
    found = ceiling.peak_of(torch.device("cuda"), torch.bfloat16)
    assert (found.flops, found.origin) == (teraflops * 1e12, "data sheet")


@pytest.mark.parametrize("name", ["NVIDIA L40", "NVIDIA RTX A1000", "NVIDIA T400"])
def test_peaks_of_other_gpus_are_measured(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device: name)
    monkeypatch.setattr(ceiling, "measured_flops", lambda _device, _dtype: 7.0)
    assert ceiling.peak_of(torch.device("cuda"), torch.bfloat16).flops == 7.0


def test_parameters_are_those_of_the_base(tiny_base: Callable[..., Any]) -> None:
    base = tiny_base("llama")
    config = AdapterConfig(form="cross", injected_layers=2, compressor_rank=3)
    adapter = Adapter(config, base.model)
    found = Parameters.of(base.config, adapter)
    layer = base.model.model.layers[0]
    matrices = [p for p in layer.parameters() if p.dim() == 2]
    assert found.layer == sum(p.numel() for p in matrices)
    assert found.head == base.model.lm_head.weight.numel()
    assert (found.hidden, found.cached, found.injected) == (64, 2 * 2 * 16, 2)
    assert found.compressor_update == sum(p.numel() for p in adapter.compressor.parameters()) > 0
    assert found.cross == sum(p.numel() for p in adapter.cross.parameters()) > 0


def test_a_run_names_what_it_depends_on() -> None:
    found = run_info.run_info({"task": "x"}, None)
    assert {"task", "commit", "versions", "device", "threads", "finished"} <= set(found)
    assert found["versions"]["torch"] == torch.__version__


def test_a_processor_has_a_name() -> None:
    assert run_info.processor()
    assert run_info.run_info({}, None)["device_name"] == run_info.processor()
