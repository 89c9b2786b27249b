"""Recipes: every key is known, typed and checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from sharedcli.errors import UsageError
from sharedcli.training.recipe import MOST_TOKENS, Phase, Recipe, Stage
from sharedcli.training.recipe_files import (
    build_recipe,
    differences,
    load_recipe,
    shipped_recipes,
    to_plain,
)


def test_the_package_ships_the_three_recipes() -> None:
    assert set(shipped_recipes()) >= {"lm", "qa", "default"}


@pytest.mark.parametrize("name", ["lm", "qa", "default"])
def test_a_shipped_recipe_is_valid_and_reads_back_from_its_plain_form(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert build_recipe(to_plain(recipe)) == recipe


def test_default_trains_long_text_first_and_questions_after() -> None:
    shares = [stage.questions for stage in load_recipe("default").stages]
    assert shares[0] == 0 < shares[-1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("step = 3", "no key 'step'; did you mean steps?"),
        ("[adapter]\ninjectd_layers = 3", "'injectd_layers' in adapter; did you mean injected"),
        (
            "[[stages]]\nname = 'a'\n[stages.optimiser]\nlerning_rate = 1",
            "in stages.0.optimiser; did you mean learning_rate?",
        ),
        ("[adapter]\nform = 'both'", "adapter.form = 'both' is unknown; use one of joint, cross"),
        ("steps = 1.5", "steps = 1.5 does not fit; it must be a whole number"),
        ("checkpointing = 1", "must be a true or false"),
        ("seed = true", "must be a whole number"),
        ("adapter = 3", "adapter must be a table"),
        ("steps = -1", "steps = -1 does not fit"),
        ("stages = []", "at least one [[stages]] table"),
        ("steps = ", "not valid TOML"),
        ("[adapter.geometry]\nchunk_tokens = 16", "too small for depth"),
        ("[[stages]]\n[stages.draw]\nno_context = 2.0", "draw.no_context = 2.0"),
        ("[[stages]]\n[[stages.curriculum]]\nuntil = 0.5", "end at 1"),
        ("[[stages]]\n[[stages.curriculum]]\ncontext_tokens = []", "a list with a value"),
        ("[trainable]\ncompressor=false\ndecoder=false\ninjection=false", "at least one part"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load_recipe(str(path))
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_recipe_names_the_shipped_ones() -> None:
    with pytest.raises(UsageError, match=r"no recipe nothing; give a TOML file, .*default, lm"):
        load_recipe("nothing")


def test_sequences_have_at_most_8192_tokens() -> None:
    Phase(context_tokens=(MOST_TOKENS - 1024,), running_tokens=(1024,))
    with pytest.raises(UsageError, match="make 8193; a sequence may have at most 8192"):
        Phase(context_tokens=(512, MOST_TOKENS - 1023), running_tokens=(1024,))


def test_overrides_reach_every_depth_and_all_stages() -> None:
    recipe = load_recipe(
        "default",
        [
            "seed=7",
            "adapter.form=cross",
            "stages.optimiser.learning_rate=3e-4",
            "stages.1.batch=5",
            "stages.mixed.accumulate=9",
            "stages.curriculum.ratios=[4]",
            "evaluation.ratios=2",
        ],
    )
    assert recipe.seed == 7
    assert recipe.adapter.form == "cross"
    assert {stage.optimiser.learning_rate for stage in recipe.stages} == {3e-4}
    assert [stage.batch for stage in recipe.stages][1] == 5
    assert [stage.accumulate for stage in recipe.stages] == [2, 9]
    assert {p.ratios for stage in recipe.stages for p in stage.curriculum} == {(4,)}
    assert recipe.evaluation.ratios == (2,)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed", "is no KEY=VALUE"),
        ("stages.9.batch=1", "there are only 2, counted from 0"),
        ("adaptor.form=cross", "no 'adaptor' here"),
        ("adapter.from=cross", "did you mean form?"),
    ],
)
def test_overrides_are_checked_like_files(override: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_recipe("default", [override])
    assert message in str(caught.value)


def test_differences_name_the_keys() -> None:
    one, other = load_recipe("lm"), load_recipe("lm", ["seed=3", "stages.draw.level=9.0"])
    assert differences(one, other) == ["seed", "stages.0.draw.level"]
    assert differences(one, one) == []


def test_a_share_of_layers_becomes_a_count() -> None:
    plan = Recipe().adapter
    assert plan.injected_layers == 0.4
    assert plan.layers_of(30) == 12
    assert plan.layers_of(1) == 1


def test_the_phase_follows_the_progress() -> None:
    stage = Stage(curriculum=(Phase(until=0.25, ratios=(1,)), Phase(until=1.0, ratios=(8,))))
    found = [stage.phase(at).ratios[0] for at in (0.0, 0.2499, 0.25, 0.9, 1.0)]
    assert found == [1, 1, 8, 8, 8]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("stages.optimiser.clip", "-1"),
        ("stages.optimiser.weight_decay", "-0.1"),
        ("stages.optimiser.injection_scale", "-1"),
        ("stages.curriculum.running_tokens", "[1]"),
        ("evaluation.ratios", "[0]"),
        ("evaluation.running_tokens", "1"),
        ("evaluation.context_tokens", "0"),
    ],
)
def test_values_that_would_end_a_run_later_are_refused(key: str, value: str) -> None:
    with pytest.raises(UsageError, match=key.rsplit(".", maxsplit=1)[-1]):
        load_recipe("lm", [f"{key}={value}"])
