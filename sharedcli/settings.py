"""Every setting, and where its value came from: flags, environment, files or defaults.

Precedence, strongest first:

1. flags of the command line,
2. environment variables ``SHAREDCLI_<NAME>`` (``SHAREDCLI_HOME`` is the store; ``HF_HUB_OFFLINE``
   counts as ``offline``),
3. the project's ``sharedcli.toml``, the nearest one from the working directory upwards,
4. the user's ``config.toml`` in the platform's configuration directory,
5. defaults.

A key or value that does not fit is refused with the name of its file and the nearest valid key: a
setting that is silently ignored is worse than an error. Names of devices, dtypes and models are
checked where they are used. It knows nothing of torch.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import platformdirs

from sharedcli.errors import UsageError
from sharedcli.paths import home_path
from sharedcli.setting_values import TRUE, fit

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT_FILE = "sharedcli.toml"
USER_FILE = "config.toml"

_OTHER_VARIABLES = ("SHAREDCLI_HOME", "SHAREDCLI_DEBUG")
_Layer = tuple[Mapping[str, object], str, "Path | None"]  # values, origin, folder of the file


def default_store() -> Path:
    """Where context trees are kept unless told otherwise: the platform's user data directory."""
    return Path(platformdirs.user_data_dir("sharedcli", appauthor=False))


def default_cache() -> Path:
    """Where models are kept: SHAREDCLI_CACHE, or the platform's user cache directory."""
    if given := os.environ.get("SHAREDCLI_CACHE"):
        return home_path(given)
    return Path(platformdirs.user_cache_dir("sharedcli", appauthor=False))


def user_file() -> Path:
    """The user's configuration file; it need not exist."""
    return Path(platformdirs.user_config_dir("sharedcli", appauthor=False)) / USER_FILE


@dataclass(frozen=True)
class Explained:
    """One setting: ``origin`` is "flag", a variable's name, a file's path, or "default"."""

    name: str
    value: object
    origin: str


@dataclass(frozen=True)
class Settings:
    """All settings with their defaults. Names are those of the flags, with ``_`` for ``-``.

    Attributes:
        store: folder of the context trees.
        cache: folder of fetched and converted models.
        model: "default", a Hugging Face id, a folder or a GGUF file.
        revision: branch, tag or commit of a Hugging Face model.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        dtype: "auto", "float32", "bfloat16", "float16" or "float64".
        attn_implementation: "sdpa", "eager" or "flash_attention_2".
        quantization: None, "bnb-4bit" or "bnb-8bit".
        adapter: None for the one that ships for the model, "none", or a folder.
        offline: never touch the network.
        budget: slots injected at most per question.
        passages: verbatim passages in the prompt; 0 is injection alone.
        max_tokens: tokens of an answer at most.
        temperature: 0 is greedy.
        top_p: nucleus of the sampling.
        seed: of the sampling.
        inject: "auto" (where a trained adapter is there, what is not quoted), "always" (what is
            quoted as well) or "never".
        abstain: "auto" (refuse what the documents do not seem to answer) or "never".
        decode_weights: "auto", "int4", "int8", "plain" or "unpacked": how a CPU reads the weights
            while it decodes.
        index_weights: "auto", "int8" or "plain": how a CPU reads the weights while it indexes.
        slot_format: "int8", "int4", "bfloat16", "float16" or "float32": how slots are stored;
            "recompute" stores none and makes those that a question opens.
        embed: "index" (sentence vectors of all passages are stored) or "ask" (none are; the best
            passages by full text are embedded when a question comes).
        chunk_tokens, depth, slots_per_node, levels, slot_choice, lead_tokens, stored_depth,
            strip_chunks, exit_layer, pruning_layer: the tree's geometry; None is the adapter's.
        quota: bytes that the store may take; None for no limit.
        color: "auto", "always" or "never".
        origins: where each value came from, by name; what is not in it is a default.
    """

    store: Path = field(default_factory=default_store)
    cache: Path = field(default_factory=default_cache)
    model: str = "default"
    revision: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    attn_implementation: str = "sdpa"
    quantization: str | None = None
    adapter: str | None = None
    offline: bool = False
    budget: int = 256
    passages: int = 3
    max_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    inject: str = "auto"
    abstain: str = "auto"
    decode_weights: str = "auto"
    index_weights: str = "auto"
    slot_format: str = "int4"
    embed: str = "index"
    chunk_tokens: int | None = None
    depth: int | None = None
    slots_per_node: int | None = None
    levels: str | None = None
    slot_choice: str | None = None
    lead_tokens: int | None = None
    stored_depth: int | None = None
    strip_chunks: int | None = None
    exit_layer: int | None = None
    pruning_layer: int | None = None
    quota: int | None = None
    color: str = "auto"
    origins: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def explain(self) -> tuple[Explained, ...]:
        """Each setting with its value and where that came from, in the order of the fields."""
        return tuple(
            Explained(name, getattr(self, name), self.origins.get(name, "default"))
            for name in NAMES
        )


NAMES = tuple(item.name for item in fields(Settings) if item.name != "origins")


def load_settings(
    flags: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
    user: Path | None = None,
) -> Settings:
    """Put all settings together.

    Args:
        flags: values from the command line; None means "not given".
        environ: the environment; the process's own if None.
        directory: where the search for the project's file begins; the working directory if None.
        user: the user's file; the platform's place if None.

    Raises:
        UsageError: an unknown key, a value that does not fit, or a file that is not TOML.
    """
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    layers = [
        *_file_layers(directory or Path.cwd(), user or user_file()),
        *_environment_layers(os.environ if environ is None else environ),
        (given, "flag", None),
    ]
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer, origin, folder in layers:
        for key, value in layer.items():
            name = _known(key, origin)
            values[name] = fit(name, value, origin, folder)
            origins[name] = origin
    return Settings(**values, origins=origins)


def _file_layers(directory: Path, user: Path) -> list[_Layer]:
    """The user's file, then the project's, which is stronger."""
    here = directory.absolute()
    nearest = (
        path for folder in (here, *here.parents) if (path := folder / PROJECT_FILE).is_file()
    )
    found = [user] if user.is_file() else []
    found.extend(path for path in (next(nearest, None),) if path is not None)
    return [(_read(path), str(path), path.parent) for path in found]


def _read(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as stream:
            content: dict[str, object] = tomllib.load(stream)
    except RecursionError:
        raise UsageError(f"{path} is nested too deeply; correct or delete it") from None
    except ValueError as error:  # not only the parser's own: no UTF-8, numbers of 5,000 digits
        raise UsageError(f"{path} is not valid TOML ({error}); correct or delete it") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); check who may") from error
    return content


def _environment_layers(environ: Mapping[str, str]) -> list[_Layer]:
    """Variables in rising strength, each a layer of its own so that errors can name it."""
    found: list[_Layer] = []
    if environ.get("HF_HUB_OFFLINE", "").strip().lower() in TRUE:
        found.append(({"offline": True}, "HF_HUB_OFFLINE", None))
    if environ.get("SHAREDCLI_HOME"):
        found.append(({"store": environ["SHAREDCLI_HOME"]}, "SHAREDCLI_HOME", None))
    for variable, value in sorted(environ.items()):
        key = variable.removeprefix("SHAREDCLI_").lower()
        if not variable.startswith("SHAREDCLI_") or variable in _OTHER_VARIABLES or not value:
            continue
        # a strange variable may belong to another version; a misspelt one is refused
        if key in NAMES or difflib.get_close_matches(key, NAMES, 1, 0.75):
            found.append(({key: value}, variable, None))
    return found


def _known(key: str, origin: str) -> str:
    name = key.replace("-", "_")
    if name in NAMES:
        return name
    near = difflib.get_close_matches(name, NAMES, 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else "known are: " + ", ".join(NAMES)
    raise UsageError(f"{origin}: there is no setting {key!r}; {hint}")
