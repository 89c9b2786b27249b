"""Loading a converted model leaves out what inference never uses, and breaks none of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from sharedcli.model.convert import converted_folder

LOAD = """
import sys
from pathlib import Path
from sharedcli.model.base import load_base
base = load_base(sys.argv[1], device="cpu", dtype="float32", cache=Path(sys.argv[2]))
import torch
tokens = torch.tensor([[5, 6, 7, 8], [5, 6, 7, 8]])
mask = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]])
with torch.inference_mode():
    base.model(tokens, attention_mask=mask)
    base.model.generate(tokens, attention_mask=mask, max_new_tokens=2, do_sample=False)
"""
ABSENT = """
heavy = ("torch._dynamo", "torch.distributed.tensor", "sympy", "sklearn", "scipy", "pandas", "gguf")
found = [name for name in heavy if name in sys.modules]
sys.exit(f"imported: {found}" if found else 0)
"""
STILL_THERE = """
import torch.distributed
from transformers.masking_utils import TransformGetItemToIndex
assert torch.distributed.is_available()
assert torch.compiler.disable.__module__ == "torch.compiler"
with TransformGetItemToIndex():
    pass
import transformers.models
from transformers.utils import import_utils
assert not hasattr(import_utils.create_import_structure_from_path, "cache_parameters") or (
    import_utils.create_import_structure_from_path.cache_parameters()["maxsize"] is not None
)
listed = import_utils.define_import_structure(transformers.models.__file__)
listed = type(transformers.models)("again", transformers.models.__file__, listed)
for name in ("_import_structure", "_class_to_module"):
    found, wanted = (getattr(one, name) for one in (transformers.models, listed))
    assert found and {k: sorted(v) for k, v in found.items()} == {
        k: sorted(v) for k, v in wanted.items()
    }
assert not any("sharedcli" in type(finder).__module__ for finder in sys.meta_path)
import torch._dynamo
assert torch._dynamo.__file__ and callable(torch._dynamo.optimize)
double = torch.compile(lambda x: x * 2, backend="eager")
assert torch.equal(double(torch.ones(2)), torch.full((2,), 2.0))
"""


def run(code: str, gguf: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, "-c", code, str(gguf), str(cache)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )


def test_no_compiler_and_no_distributed_tensors_are_imported(tiny_gguf: Path, cache: Path) -> None:
    converted_folder(tiny_gguf, cache)
    done = run(LOAD + ABSENT, tiny_gguf, cache)
    assert done.returncode == 0, done.stderr
    assert done.stderr == done.stdout == ""


def test_the_compiler_still_works_afterwards(tiny_gguf: Path, cache: Path) -> None:
    converted_folder(tiny_gguf, cache)
    done = run(LOAD + STILL_THERE, tiny_gguf, cache)
    assert done.returncode == 0, done.stderr


def test_a_compiler_that_is_loaded_already_is_left_alone(tiny_gguf: Path, cache: Path) -> None:
    converted_folder(tiny_gguf, cache)
    before = "import torch._dynamo as first\n"
    after = "import torch._dynamo as second\nassert first is second and first.__file__\n"
    done = run(before + LOAD + after, tiny_gguf, cache)
    assert done.returncode == 0, done.stderr
