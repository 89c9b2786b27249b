"""What ``auto`` means, what is refused, and how out-of-memory is told."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
import torch

from sharedcli.errors import OutOfMemoryError, UsageError
from sharedcli.model import devices
from sharedcli.model.devices import (
    cpu_has_bfloat16,
    guard_memory,
    resolve_attention,
    resolve_device,
    resolve_dtype,
)

CPU = torch.device("cpu")


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(devices, "_has_mps", lambda: False)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu_auto_is_the_cpu_and_gpus_are_refused() -> None:
    assert resolve_device("auto") == CPU
    assert resolve_device(" CPU ") == CPU
    for name in ("cuda", "cuda:0", "mps"):
        with pytest.raises(UsageError, match=f"--device {name}.*--device cpu"):
            resolve_device(name)


@pytest.mark.usefixtures("two_gpus")
def test_with_gpus_auto_is_the_current_one_and_numbers_are_checked() -> None:
    assert resolve_device("auto") == torch.device("cuda", 0)
    assert resolve_device("cuda") == torch.device("cuda", 0)
    assert resolve_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(UsageError, match="2 GPU"):
        resolve_device("cuda:2")


def test_apple_gpus_come_before_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(devices, "_has_mps", lambda: True)
    assert resolve_device("auto").type == "mps"
    assert resolve_device("mps").type == "mps"
    assert resolve_dtype("auto", torch.device("mps")) == torch.float16
    with pytest.raises(UsageError, match="float64"):
        resolve_dtype("float64", torch.device("mps"))


@pytest.mark.parametrize("name", ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "tpu", "cpu:0x"])
def test_unknown_devices_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"is unknown; use auto, cpu, cuda"):
        resolve_device(name)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("float32", torch.float32),
        ("BF16", torch.bfloat16),
        ("torch.float16", torch.float16),
        ("fp64", torch.float64),
    ],
)
def test_dtypes_by_name(name: str, dtype: torch.dtype) -> None:
    assert resolve_dtype(name, CPU) == dtype


def test_unknown_dtypes_are_refused() -> None:
    with pytest.raises(UsageError, match="--dtype int8 is unknown"):
        resolve_dtype("int8", CPU)


@pytest.mark.parametrize(("has", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_on_a_cpu_follows_its_instructions(
    monkeypatch: pytest.MonkeyPatch, has: bool, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda: has)
    assert resolve_dtype("auto", CPU) == dtype


@pytest.mark.parametrize(
    ("capability", "dtype"), [((9, 0), torch.bfloat16), ((7, 5), torch.float16)]
)
def test_auto_on_a_gpu_follows_its_generation(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
    assert resolve_dtype("auto", torch.device("cuda", 0)) == dtype


def test_the_cpu_check_asks_every_instruction_set(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    monkeypatch.setattr(devices.platform, "machine", lambda: "x86_64")
    for chosen in (None, *names):
        for name in names:
            monkeypatch.setattr(torch.cpu, name, lambda hit=name == chosen: hit, raising=False)
        cpu_has_bfloat16.cache_clear()
        assert cpu_has_bfloat16() is (chosen is not None)
    cpu_has_bfloat16.cache_clear()


def _attention(spec: str, device: str = "cpu", dtype: torch.dtype = torch.bfloat16) -> str:
    return resolve_attention(spec, torch.device(device), dtype)


def test_attention_names() -> None:
    assert _attention("auto") == "sdpa"
    assert _attention("SDPA") == "sdpa"
    assert _attention("eager") == "eager"
    with pytest.raises(UsageError, match="--attn-implementation flash is unknown"):
        _attention("flash")


def test_flash_attention_needs_its_extra_and_a_gpu_that_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flash = "flash_attention_2"
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(UsageError, match=re.escape("pip install 'sharedcli[flash]'")):
        _attention(flash, "cuda")
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda _name: SimpleNamespace())
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (8, 0))
    assert _attention(flash, "cuda") == flash
    with pytest.raises(UsageError, match="needs a CUDA device, not cpu; use sdpa"):
        _attention(flash)
    with pytest.raises(UsageError, match="needs --dtype bfloat16 or float16, not float32"):
        _attention(flash, "cuda", torch.float32)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device: "Tesla T4")
    with pytest.raises(UsageError, match="needs an Ampere GPU or a later one, not Tesla T4"):
        _attention(flash, "cuda", torch.float16)


def test_a_real_failed_allocation_on_the_cpu_says_what_to_change() -> None:
    wanted = pytest.raises(OutOfMemoryError, match="while counting stars; try --quantization")
    with wanted as caught, guard_memory("counting stars"):
        torch.empty(1 << 50, dtype=torch.uint8)
    assert caught.value.exit_code == 15


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (MemoryError(), "--dtype bfloat16"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "--device cpu"),
        (RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"), "--device cpu"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"), "--device cpu"),
    ],
)
def test_every_form_of_it_becomes_one_error(error: BaseException, hint: str) -> None:
    with pytest.raises(OutOfMemoryError, match=hint), guard_memory():
        raise error


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes cannot be multiplied"), ValueError("memory of things")]
)
def test_other_errors_pass(error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)), guard_memory():
        raise error
