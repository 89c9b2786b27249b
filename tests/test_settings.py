"""Precedence, refusals and explanations of the settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharedcli.errors import UsageError
from sharedcli.settings import NAMES, Settings, default_cache, load_settings


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """A user's file and a nested working directory; neither has a setting yet."""
    work = tmp_path / "project" / "deep" / "down"
    work.mkdir(parents=True)
    return tmp_path / "user.toml", work


def origin_of(settings: Settings, name: str) -> str:
    return next(line.origin for line in settings.explain() if line.name == name)


def test_defaults_say_that_they_are_defaults(places: tuple[Path, Path]) -> None:
    user, work = places
    settings = load_settings(environ={}, directory=work, user=user)
    assert settings == Settings()
    assert [line.name for line in settings.explain()] == list(NAMES)
    assert {line.origin for line in settings.explain()} == {"default"}


def test_each_layer_is_stronger_than_the_one_below(places: tuple[Path, Path]) -> None:
    user, work = places
    user.write_text("passages = 1\n")
    settings = load_settings(environ={}, directory=work, user=user)
    assert (settings.passages, origin_of(settings, "passages")) == (1, str(user))

    project = work.parent.parent / "sharedcli.toml"
    project.write_text("passages = 2\n")
    settings = load_settings(environ={}, directory=work, user=user)
    assert (settings.passages, origin_of(settings, "passages")) == (2, str(project))

    environ = {"SHAREDCLI_PASSAGES": "5"}
    settings = load_settings(environ=environ, directory=work, user=user)
    assert (settings.passages, origin_of(settings, "passages")) == (5, "SHAREDCLI_PASSAGES")

    settings = load_settings({"passages": 7}, environ=environ, directory=work, user=user)
    assert (settings.passages, origin_of(settings, "passages")) == (7, "flag")


def test_a_flag_that_was_not_given_changes_nothing(places: tuple[Path, Path]) -> None:
    user, work = places
    user.write_text('model = "owner/name"\n')
    settings = load_settings({"model": None}, environ={}, directory=work, user=user)
    assert settings.model == "owner/name"


def test_the_nearest_project_file_counts_alone(places: tuple[Path, Path]) -> None:
    user, work = places
    (work.parent.parent / "sharedcli.toml").write_text("passages = 2\nseed = 9\n")
    (work / "sharedcli.toml").write_text("passages = 4\n")
    settings = load_settings(environ={}, directory=work, user=user)
    assert (settings.passages, settings.seed) == (4, 0)


def test_unknown_keys_are_refused_with_the_file_and_the_nearest_key(
    places: tuple[Path, Path],
) -> None:
    user, work = places
    user.write_text("passage = 2\n")
    with pytest.raises(UsageError, match=r"user\.toml.*'passage'.*did you mean passages\?"):
        load_settings(environ={}, directory=work, user=user)
    user.write_text("[model]\nname = 'x'\n")
    with pytest.raises(UsageError, match=r"user\.toml: model = .*give a string"):
        load_settings(environ={}, directory=work, user=user)
    user.write_text("zzzzzzzz = 2\n")
    with pytest.raises(UsageError, match=r"known are: store, cache"):
        load_settings(environ={}, directory=work, user=user)


def test_a_misspelt_variable_is_refused_and_a_strange_one_is_not(
    places: tuple[Path, Path],
) -> None:
    user, work = places
    with pytest.raises(UsageError, match=r"SHAREDCLI_MODLE.*did you mean model\?"):
        load_settings(environ={"SHAREDCLI_MODLE": "x"}, directory=work, user=user)
    environ = {"SHAREDCLI_DEBUG": "1", "SHAREDCLI_KEYRING_XY": "x", "OTHER": "y"}
    assert load_settings(environ=environ, directory=work, user=user) == Settings()


def test_files_may_spell_keys_like_flags_and_paths_are_relative_to_the_file(
    places: tuple[Path, Path],
) -> None:
    user, work = places
    (work / "sharedcli.toml").write_text(
        'attn-implementation = "eager"\nstore = "trees"\nmodel = "./my-model"\n'
    )
    settings = load_settings(environ={}, directory=work, user=user)
    assert settings.attn_implementation == "eager"
    assert settings.store == work / "trees"
    assert Path(settings.model) == work / "my-model"


def test_home_variables(
    places: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, work = places
    environ = {"SHAREDCLI_HOME": str(tmp_path / "home"), "SHAREDCLI_CACHE": str(tmp_path / "c")}
    settings = load_settings(environ=environ, directory=work, user=user)
    assert (settings.store, settings.cache) == (tmp_path / "home", tmp_path / "c")
    assert origin_of(settings, "store") == "SHAREDCLI_HOME"
    monkeypatch.setenv("SHAREDCLI_CACHE", str(tmp_path / "d"))
    assert default_cache() == tmp_path / "d"


@pytest.mark.parametrize(
    ("text", "offline"), [("1", True), ("true", True), ("on", True), ("0", False), ("", False)]
)
def test_hf_hub_offline_counts(places: tuple[Path, Path], text: str, offline: bool) -> None:
    user, work = places
    settings = load_settings(environ={"HF_HUB_OFFLINE": text}, directory=work, user=user)
    assert settings.offline is offline


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("passages", "-1"),
        ("passages", "2.5"),
        ("max_tokens", "0"),
        ("temperature", "nan"),
        ("temperature", "-0.1"),
        ("top_p", "0"),
        ("top_p", "1.1"),
        ("seed", "x"),
        ("seed", "9" * 400),
        ("offline", "maybe"),
        ("color", "blue"),
        ("model", "  "),
    ],
)
def test_values_that_do_not_fit_are_refused_by_name(
    places: tuple[Path, Path], key: str, value: str
) -> None:
    user, work = places
    variable = f"SHAREDCLI_{key.upper()}"
    with pytest.raises(UsageError, match=rf"{variable}: {key} = .*does not fit; give"):
        load_settings(environ={variable: value}, directory=work, user=user)


def test_toml_types_are_checked(places: tuple[Path, Path]) -> None:
    user, work = places
    for line in ("passages = true", "seed = [1]", "store = 3", "offline = 1", "temperature = {}"):
        user.write_text(line + "\n")
        with pytest.raises(UsageError, match="does not fit"):
            load_settings(environ={}, directory=work, user=user)
    user.write_text(f"seed = {2**62 + 1}\n")  # no detour through float
    assert load_settings(environ={}, directory=work, user=user).seed == 2**62 + 1
    user.write_text("temperature = 1\nquantization = 'none'\n")
    settings = load_settings(environ={}, directory=work, user=user)
    assert settings.temperature == 1.0
    assert isinstance(settings.temperature, float)
    assert settings.quantization is None


@given(st.binary(max_size=60))
def test_any_bytes_as_a_file_give_settings_or_a_usage_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "user.toml").write_bytes(data)
    try:
        load_settings(environ={}, directory=folder, user=folder / "user.toml")
    except UsageError as error:
        assert "user.toml" in str(error)


def test_settings_do_not_import_torch() -> None:
    code = "import sys, sharedcli.settings; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ("1000", 1000),
        (1000, 1000),
        ("20GB", 20_000_000_000),
        ("1.5 GiB", 3 << 29),
        ("512m", 512_000_000),
        ("7 b", 7),
        ("none", None),
    ],
)
def test_sizes_with_units(given: object, size: int | None, tmp_path: Path) -> None:
    flags = {"quota": given}
    found = load_settings(flags, environ={}, directory=tmp_path, user=tmp_path / "none.toml")
    assert found.quota == size


@pytest.mark.parametrize("given", ["", "0", "-1", "much", "1e9", "5 parsecs", True, "9" * 19])
def test_wrong_sizes_are_refused(given: object, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="quota"):
        load_settings({"quota": given}, environ={}, directory=tmp_path, user=tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("seed = " + "9" * 5000, "is not valid TOML"),
        ("seed = " + "[" * 3000, "is nested too deeply"),
        ('store = "~no-such-user/trees"', "no such user"),
        ('store = "a\\u0000b"', "a NUL can be in no name"),
        ('model = "a\\u0000b"', "a NUL can be in no name"),
    ],
)
def test_what_fuzzing_found_is_refused_by_a_sentence(
    tmp_path: Path, content: str, said: str
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(content)
    with pytest.raises(UsageError, match=said):
        load_settings({}, environ={}, directory=tmp_path, user=file)
