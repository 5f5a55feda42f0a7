"""Every recipe composes, alone and after a size, documents when and how to use it, and names missing settings."""

import pytest
from hydra.errors import ConfigCompositionException

from rave_lite.cli.job import CONF
from tests.commands import fails
from tests.conftest import configured

RECIPES = sorted(path.stem for path in (CONF / "recipe").glob("*.yaml"))


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_composes_and_says_how_it_is_used(name):
    head = [line for line in (CONF / "recipe" / f"{name}.yaml").read_text().splitlines() if line.startswith("# ")]
    assert any(line.startswith("# When: ") for line in head)
    command = next(line for line in head if line.startswith("# Command: "))
    assert f"rave-lite train recipe={name} " in command
    plain, alone, sized = (configured("train", "data.root=x", *recipe) for recipe in
                           ([], [f"recipe={name}"], [f"recipe=[minute_cpu,{name}]"]))
    assert alone != plain
    assert name == "demo" or sized.model.capacity == 16  # that one chooses its own
    assert f"`{name}`" in (CONF / "recipe" / "README.md").read_text()


def test_the_later_recipe_decides():
    assert configured("train", "data.root=x", "recipe=[minute_cpu,demo]").phase1.steps == 350
    assert configured("train", "data.root=x", "recipe=[demo,minute_cpu]").phase1.steps == 1850


def test_an_unknown_recipe_is_answered_with_those_there_are():
    with pytest.raises(ConfigCompositionException, match=r"(?s)recipe/augmentd.*augmented"):
        configured("train", "data.root=x", "recipe=augmentd")


@pytest.mark.parametrize(("typed", "message"), [("transfer.from=", "transfer.from: needs a value"),
                                                ("recipe=curated", "data.manifest: needs a value")])
def test_what_cannot_be_left_empty(typed, message, settings, tmp_path):
    fails(message, "train", typed, f"out={tmp_path / 'run'}", *settings)


@pytest.mark.parametrize(("recipe", "source"), [("demo", "auto"), ("minute_cpu", "auto"), ("transfer", "base"),
                                                ("[minute_cpu,malay_drums]", "base"), ("base", None)])
def test_which_recipes_start_from_a_base(recipe, source):
    assert configured("train", "data.root=x", f"recipe={recipe}").transfer["from"] == source
    assert configured("train", "data.root=x", f"recipe={recipe}", "transfer.from=null").transfer["from"] is None
