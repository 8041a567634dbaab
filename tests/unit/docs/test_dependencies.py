"""setup.cfg, requirements.lock and the examples agree with each other."""

import configparser
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[3]
PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;]+)")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(path: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for line in path.read_text().splitlines():
        if match := PINNED.match(line):
            found.setdefault(normal(match["name"]), set()).add(match["version"])
    return found


def declared() -> list[Requirement]:
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg")
    texts = [config["options"]["install_requires"], *config["options.extras_require"].values()]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("requirement", declared(), ids=lambda requirement: requirement.name)
def test_every_requirement_is_pinned_to_a_version_it_allows(requirement: Requirement) -> None:
    versions = pins(ROOT / "requirements.lock").get(normal(requirement.name), set())

    assert versions
    assert all(requirement.specifier.contains(version, prereleases=True) for version in versions)


def test_nothing_in_the_lock_file_is_loose() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()

    assert [line for line in lines if line and not line.lstrip().startswith("#") and not PINNED.match(line)] == []


def test_the_requirements_of_the_training_example_are_pinned() -> None:
    path = ROOT / "examples" / "train-sklearn" / "requirements.txt"

    assert "scikit-learn" in pins(path)
    assert all(PINNED.match(line) for line in path.read_text().splitlines())
