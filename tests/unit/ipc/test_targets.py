"""The declaration of targets and builders: complete, consistent, and the words of W&B."""

import pkgutil
from configparser import ConfigParser
from pathlib import Path

import pytest

from ipc import targets

SETUP = Path(__file__).parents[3] / "setup.cfg"


def test_the_words_are_those_of_wandb() -> None:
    assert targets.QUEUE_TYPES == ("local-process", "local-container", "kubernetes", "sagemaker", "gcp-vertex")
    assert (*targets.QUEUE_TYPES, "vertex") == targets.RESOURCES
    assert targets.BUILDER_TYPES == ("docker", "buildah", "buildah-pod", "kaniko", "noop"), "buildah alone is not W&B's"


@pytest.mark.parametrize("word", targets.RESOURCES)
def test_every_word_names_a_target(word: str) -> None:
    assert targets.find_target(word) is not None


def test_a_queues_word_and_a_run_specs_name_the_same_target() -> None:
    assert targets.find_target("gcp-vertex") == targets.find_target("vertex")


def test_other_words_name_none() -> None:
    assert targets.find_target("local") is None


def test_the_builders_of_every_target_are_declared() -> None:
    named = {builder for target in targets.TARGETS.values() for builder in target.builders}

    assert named <= targets.BUILDERS.keys()


def test_every_path_can_be_loaded() -> None:
    paths = [one.runner for one in targets.TARGETS.values()] + [one.path for one in targets.BUILDERS.values()]
    paths += [one.path for one in targets.REGISTRIES.values()]

    assert [path for path in paths if path and not callable(pkgutil.resolve_name(path))] == []


def test_every_extra_is_one_of_this_package() -> None:
    setup = ConfigParser()
    setup.read(SETUP)
    extras = {one.extra for one in targets.TARGETS.values()} | {one.extra for one in targets.BUILDERS.values()}
    extras |= {one.extra for one in targets.CLOUDS}

    assert extras - {None} <= set(setup["options.extras_require"])


@pytest.mark.parametrize(
    ("resource", "configured", "chosen"),
    [
        ("local-process", None, "venv"),
        ("local-process", "docker", "venv"),
        ("local-container", None, "docker"),
        ("kubernetes", "kaniko", "kaniko"),
        ("gcp-vertex", "noop", "noop"),
        ("unheard-of", "docker", None),
    ],
)
def test_the_configured_builder_is_chosen_where_the_target_takes_it(
    resource: str, configured: str | None, chosen: str | None
) -> None:
    assert targets.choose_builder(resource, configured) == chosen


def test_a_target_of_tests_is_found_and_offered_to_nobody() -> None:
    (target,) = targets.parse_test_targets("mock=tests.mock:MockRunner,")

    assert (target.name, target.runner, target.offered) == ("mock", "tests.mock:MockRunner", False)
    assert "fake" in targets.TARGETS
    assert "fake" not in (*targets.RESOURCES, *targets.RUNNABLE)
