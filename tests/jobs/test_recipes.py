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
    assert configured("train", "data.root=x", "recipe=[minute_cpu,demo]").phase1.steps == 1000
    assert configured("train", "data.root=x", "recipe=[demo,minute_cpu]").phase1.steps == 1500


def test_an_unknown_recipe_is_answered_with_those_there_are():
    with pytest.raises(ConfigCompositionException, match=r"(?s)recipe/augmentd.*augmented"):
        configured("train", "data.root=x", "recipe=augmentd")


@pytest.mark.parametrize(("recipe", "message"), [("transfer", "transfer.from: needs a value"),
                                                 ("malay_drums", "transfer.from: needs a value"),
                                                 ("curated", "data.manifest: needs a value")])
def test_what_a_recipe_cannot_do_without(recipe, message, settings, tmp_path):
    fails(message, "train", f"recipe={recipe}", f"out={tmp_path / 'run'}", *settings)
