"""setup.cfg, the lock files, the Makefile and the examples agree with each other."""

import configparser
import importlib.metadata
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[3]
PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;]+)(?P<rest>.*)$")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
BUILD = "build"


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(path: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for line in path.read_text().splitlines():
        if match := PINNED.match(line):
            found.setdefault(normal(match["name"]), set()).add(match["version"])
    return found


def requirements(text: str) -> list[Requirement]:
    lines = [line.strip() for line in text.splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def setup() -> configparser.ConfigParser:
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg")
    return config


AGENT = requirements(setup()["options"]["install_requires"])
EXTRAS = {name: requirements(text) for name, text in setup()["options.extras_require"].items()}

#: What each lock file is for, beside the agent and what builds this package.
LOCKS = {ROOT / "requirements.lock": []} | {
    ROOT / f"requirements/{extra}.lock": [extra] for extra in EXTRAS if extra != BUILD
}
LOCKS[ROOT / "requirements/dev.lock"] += ["server", "postgres"]
ids = [path.name for path in LOCKS]


def declared(path: Path) -> list[Requirement]:
    """Return the requirements that a lock file is made from."""
    return [*AGENT, *(one for extra in (BUILD, *LOCKS[path]) for one in EXTRAS[extra])]


@pytest.mark.parametrize("path", LOCKS, ids=ids)
def test_every_requirement_is_pinned_to_a_version_it_allows(path: Path) -> None:
    pinned = pins(path)
    for requirement in declared(path):
        versions = pinned.get(normal(requirement.name), set())
        assert versions, f"{requirement} is missing"
        assert all(requirement.specifier.contains(version, prereleases=True) for version in versions), requirement


@pytest.mark.parametrize("path", LOCKS, ids=ids)
def test_nothing_in_a_lock_file_is_loose(path: Path) -> None:
    lines = path.read_text().splitlines()
    loose = [line for line in lines if not HASH.fullmatch(line) and not PINNED.match(line)]
    pairs = zip(lines, [*lines[1:], ""], strict=True)
    without_hash = [line for line, following in pairs if PINNED.match(line) and not HASH.fullmatch(following)]
    assert (loose, without_hash) == ([], [])


def test_the_versions_of_all_lock_files_agree() -> None:
    agent, together = pins(ROOT / "requirements.lock"), pins(ROOT / "requirements/dev.lock")
    for path in LOCKS:
        for name, versions in pins(path).items():
            assert versions == agent.get(name, versions) == together.get(name, versions), (path.name, name)


@pytest.mark.parametrize("path", LOCKS, ids=ids)
def test_a_lock_file_has_what_its_requirements_require(path: Path) -> None:
    """As far as it is installed here, on this Python."""
    assert closure(declared(path)) - pins(path).keys() == set()


def closure(given: list[Requirement]) -> set[str]:
    found: set[str] = set()
    waiting = [(one, "") for one in given]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = normal(requirement.name)
        if name not in found:
            found.add(name)
            waiting += [(one, each) for one in requires(name) for each in (*requirement.extras, "")]
    return found


def requires(name: str) -> Iterator[Requirement]:
    try:
        texts = importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return iter(())
    return map(Requirement, texts)


def test_an_agent_alone_gets_nothing_of_the_others() -> None:
    others = {normal(one.name) for extra, needed in EXTRAS.items() if extra != BUILD for one in needed}
    assert pins(ROOT / "requirements.lock").keys() & others == set()


def test_each_extra_has_a_lock_file_and_no_other_is_there() -> None:
    assert {path.stem for path in (ROOT / "requirements").iterdir()} == EXTRAS.keys() - {BUILD}
    line = next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("EXTRAS := "))
    assert set(line.split()[2:]) == EXTRAS.keys() - {BUILD}


def test_what_builds_the_package_is_pinned_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    builds = [Requirement(text) for text in project["build-system"]["requires"]]
    assert {(one.name, str(one.specifier)) for one in builds} == {
        (one.name, str(one.specifier)) for one in EXTRAS[BUILD]
    }
    assert all(str(one.specifier).startswith("==") for one in builds)


@pytest.mark.parametrize("name", ["README.md", "Makefile", "CONTRIBUTING.md", ".ci/run", "docs/*.md"])
def test_every_install_line_asks_for_hashes(name: str) -> None:
    installs = [
        line
        for path in ROOT.glob(name)
        for line in path.read_text().splitlines()
        if re.search(r"(pip install|\$\(INSTALL\)) .*( -r | -c |\.\[)", line) and "uv pip" not in line
    ]
    assert [line for line in installs if "--require-hashes -r" not in line] == []


def test_the_requirements_of_the_training_example_are_pinned() -> None:
    path = ROOT / "examples" / "train-sklearn" / "requirements.txt"

    assert "scikit-learn" in pins(path)
    assert all(PINNED.match(line) for line in path.read_text().splitlines())
