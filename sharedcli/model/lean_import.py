"""Import ``transformers`` without the parts of torch that inference never touches.

Importing a model class pulls in torch's compiler front end (with sympy) and its distributed
tensors, more than the import of torch itself takes, although answering a question uses neither.
While the classes are imported, this module

- answers "is torch.distributed there?" with no, as a torch built without it does, which
  ``transformers`` supports;
- lets ``torch.compiler.disable`` and ``torch._dynamo``'s decorators return their function
  unchanged: they only mark functions for a compiler that is not used here;
- stands in for ``torch._dynamo``, and imports the real one as soon as anything else is asked of it;
- remembers the names that ``transformers`` finds in its model files: it reads all of them twice,
  since its own memory holds 128 folders and there are more than 500; and looks for them faster.

Everything is put back afterwards. Operations on the meta device import the compiler again, which
is why ``direct`` builds models without that device. Nothing is done where the compiler or
``transformers``' models are imported already, or in a distributed run.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Any

import torch
import torch.compiler
import torch.distributed

_COMPILER = "torch._dynamo"
_INDEXING = "torch._dynamo._trace_wrapped_higher_order_op"
_MARKS = ("allow_in_graph", "assume_constant_result", "disable", "disallow_in_graph")


def import_transformers() -> None:
    """Import ``transformers``' auto classes and modelling base, leanly where that is possible."""
    if "transformers.modeling_utils" in sys.modules:
        return
    if _COMPILER in sys.modules or "WORLD_SIZE" in os.environ:
        _import()
        return
    with _without_compiler(), _without_distributed(), _listed_once():
        _import()


def _import() -> None:
    for name in ("modeling_utils", "masking_utils", "modeling_layers", "models.auto"):
        importlib.import_module(f"transformers.{name}")


@contextmanager
def _without_distributed() -> Iterator[None]:
    with _replaced(torch.distributed, "is_available", lambda: False):
        yield


@contextmanager
def _without_compiler() -> Iterator[None]:
    compiler = _Compiler(_COMPILER)
    compiler.__path__ = []
    indexing = _Indexing(_INDEXING)
    sys.modules.update({_COMPILER: compiler, _INDEXING: indexing})
    try:
        with _replaced(torch.compiler, "disable", _mark):
            yield
    finally:
        _remove(compiler, indexing)


@contextmanager
def _listed_once() -> Iterator[None]:
    listing = _Listing()
    sys.meta_path.insert(0, listing)
    try:
        yield
    finally:
        sys.meta_path.remove(listing)
        listing.undo()


class _Listing(MetaPathFinder):
    """Finds no module, but is asked for some while ``transformers`` begins: in time to step in."""

    _module = "transformers.utils.import_utils"
    _folders, _names = "create_import_structure_from_path", "fetch__all__"

    def __init__(self) -> None:
        self._originals: dict[str, Any] = {}

    def find_spec(self, *_: Any) -> None:
        """As ``MetaPathFinder.find_spec``."""
        module = sys.modules.get(self._module)
        if self._originals or not all(hasattr(module, n) for n in (self._folders, self._names)):
            return
        for name in (self._folders, self._names):
            self._originals[name] = getattr(module, name)
        setattr(module, self._folders, cache(self._originals[self._folders]))
        setattr(module, self._names, self._names_of)

    def _names_of(self, source: str) -> Any:
        """The names that a file exports: the original looks at every line before they begin."""
        begin = (
            source.find("\n__all__") + 1
        )  # the last such line counts, and is not before this one
        return self._originals[self._names](source[begin:])

    def undo(self) -> None:
        """Put the functions back."""
        for name, original in self._originals.items():
            setattr(sys.modules[self._module], name, original)


@contextmanager
def _replaced(module: ModuleType, name: str, value: Any) -> Iterator[None]:
    original = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, original)


def _remove(*placeholders: ModuleType) -> None:
    for name in (_COMPILER, _INDEXING):
        if sys.modules.get(name) in placeholders:
            del sys.modules[name]


def _real(name: str) -> ModuleType:
    """The real module, in place of the placeholders."""
    for known in (_COMPILER, _INDEXING):
        if isinstance(sys.modules.get(known), (_Compiler, _Indexing)):
            del sys.modules[known]
    return importlib.import_module(name)


def _mark(function: Any = None, *_args: Any, **_options: Any) -> Any:
    """A decorator, with or without arguments, that leaves its function as it is."""
    return function if function is not None else _mark


class _Compiler(ModuleType):
    """Stands in for ``torch._dynamo``."""

    def __getattr__(self, name: str) -> Any:
        if name in _MARKS:
            return _mark
        if name.startswith("__"):  # the import system looking around
            raise AttributeError(name)
        return getattr(_real(_COMPILER), name)


class _Indexing(ModuleType):
    """Stands in for the module of ``TransformGetItemToIndex``, a context manager for ``vmap``."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name != "TransformGetItemToIndex":
            return getattr(_real(_INDEXING), name)

        def make(*args: Any) -> Any:
            return getattr(_real(_INDEXING), name)(*args)

        return make
