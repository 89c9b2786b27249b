"""Fixtures for all packages: tiny seeded random bases, and the real default model."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# Tests assert no times; on a busy machine any example may be slow.
settings.register_profile("default", deadline=None)
settings.load_profile("default")

# Before anything imports huggingface_hub: a test that reaches for the hub is a broken test.
os.environ["HF_HUB_OFFLINE"] = "1"

# A shell's background jobs ignore Ctrl-C, and so would every process that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ARCHITECTURES = ("llama", "mistral", "qwen2", "qwen3")
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_CORPUS = (
    "The lighthouse keeper wrote the weather, the ships and the tides into the book of the day.",
    "Revenue rose by 12 percent to 3.4 million; net income was 0.7 million in the year 2023.",
    "What does the report say about the risks of the market, the rates and the supply chain?",
)


def write_tiny_tokenizer(folder: Path) -> int:
    """Write a byte-level BPE tokenizer with a chat template; return its vocabulary size."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
        model_max_length=4096,
    )
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(folder)
    return len(fast)


def write_tiny_base(
    folder: Path, architecture: str = "llama", seed: int = 0, **config: Any
) -> Path:
    """Write a random base of 4 layers with grouped queries, and its tokenizer, into ``folder``.

    Weights are float32 with a spread that makes attention and logits far from uniform. Keyword
    arguments override the configuration.
    """
    import torch
    import transformers

    vocabulary = write_tiny_tokenizer(folder)
    names = {"llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen2", "qwen3": "Qwen3"}
    name = names[architecture]
    sizes: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 4096,
        "initializer_range": 0.15,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
        "tie_word_embeddings": False,
    }
    if architecture == "mistral":
        sizes["sliding_window"] = None
    state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    model = getattr(transformers, f"{name}ForCausalLM")(
        getattr(transformers, f"{name}Config")(**{**sizes, **config})
    )
    torch.random.set_rng_state(state)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty cache directory for digests and conversions, shared by the session's tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function from an architecture's name to the folder of a tiny model of it."""
    made: dict[str, Path] = {}

    def get(architecture: str = "llama") -> Path:
        if architecture not in made:
            folder = tmp_path_factory.mktemp(architecture) / f"tiny-{architecture}"
            folder.mkdir()
            made[architecture] = write_tiny_base(folder, architecture)
        return made[architecture]

    return get


@pytest.fixture(scope="session")
def tiny_base(tiny_folder: Callable[[str], Path], cache: Path) -> Callable[..., Any]:
    """A function ``(architecture="llama", dtype="float32", **options) -> Base`` on the CPU.

    Bases are shared by the session's tests: do not change their weights (``write_tiny_base`` makes
    one of your own).
    """
    made: dict[tuple[Any, ...], Any] = {}

    def get(architecture: str = "llama", dtype: str = "float32", **options: Any) -> Any:
        from sharedcli.model.base import load_base

        key = (architecture, dtype, *sorted(options.items()))
        if key not in made:
            made[key] = load_base(
                str(tiny_folder(architecture)), device="cpu", dtype=dtype, cache=cache, **options
            )
        return made[key]

    return get


@pytest.fixture(params=ARCHITECTURES)
def any_base(request: pytest.FixtureRequest, tiny_base: Callable[..., Any]) -> Any:
    """Each architecture in turn, in float64, for exact comparisons."""
    return tiny_base(request.param, "float64")


@pytest.fixture(scope="session")
def default_model() -> Path:
    """The cache directory that holds the real default model, fetched on first use.

    It is the user's own cache, so that it is fetched once per machine. Tests with this fixture
    carry the mark ``default_model``.
    """
    from sharedcli.errors import ModelMissingError
    from sharedcli.model.fetch import fetch_default
    from sharedcli.settings import default_cache

    cache = default_cache()
    try:
        fetch_default(cache)
    except ModelMissingError as error:
        pytest.skip(f"the default model cannot be fetched here: {error}")
    return cache


@pytest.fixture(scope="session")
def default_base(default_model: Path) -> Any:
    """The real default model, loaded in float32 on the CPU."""
    from sharedcli.model.base import load_base

    return load_base("default", device="cpu", dtype="float32", cache=default_model)
