"""Who may import whom and the other rules of the source, in the source and in a fresh interpreter."""

import functools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.field_args import FIELDS, ROWS
from tests.support.field_paths import BELOW, WAYS
from tests.support.source_tree import RULES, SourceTree, within

ROOT = Path(__file__).parent.parent
SDKS = ("azure", "boto3", "botocore", "docker", "google", "kubernetes", "pynvml", "torch", "wandb")
WEB = ("alembic", "ariadne", "graphql", "httptools", "sqlalchemy", "starlette", "uvicorn", "uvloop")

Rule = Callable[[SourceTree], list[str]]

#: Prints what was imported, and what was asked for but is not installed here, as a JSON list.
IMPORT_AND_LIST = """
import importlib, importlib.abc, json, sys

asked = set()

class Recorder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        asked.add(name)
        return None

sys.meta_path.insert(0, Recorder())
# A package of namespaces is there at every start, where one of its parts is installed.
at_start = set(sys.modules)
importlib.import_module(sys.argv[1])
print(json.dumps(sorted(asked | set(sys.modules) - at_start)))
"""


def imported_by(module: str, root: Path = ROOT) -> list[str]:
    command = [sys.executable, "-c", IMPORT_AND_LIST, module]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names: list[str] = json.loads(done.stdout)
    return names


def test_every_root_field_of_the_server_is_tried_by_those_who_may_not() -> None:
    missing = [field for field in FIELDS if field not in ROWS]
    example = '"Mutation.stopRun": given(id=lambda world: world.run),'
    assert not missing, (
        f"{', '.join(missing)}: add a row to ROWS in tests/support/field_args.py, with arguments that reach an object"
        f" of a World, as in {example} New kinds of objects get a property in tests/support/tenant.py."
    )
    assert ROWS.keys() <= set(FIELDS), "rows of fields that there are not"


def test_every_field_below_the_root_can_be_reached() -> None:
    steps = {step.name for ways in WAYS.values() for way in ways for step in way[1:] if step.needs_arguments}
    assert sorted(steps - BELOW.keys()) == [], (
        "fields that need arguments: add a row to BELOW in tests/support/field_paths.py"
    )


def of(names: list[str], *packages: str) -> list[str]:
    return [name for name in names if any(within(name, package) for package in packages)]


def test_importing_launchd_brings_nothing_else() -> None:
    names = imported_by("launchd")

    assert of(names, "launchd", "workers", "ipc") == ["launchd"]
    assert of(names, "click", "msgspec", "requests", "yaml") == []


def test_the_supervisor_knows_no_sdk_no_server_and_no_worker() -> None:
    names = imported_by("launchd.agent.main")

    assert "launchd.agent.main" in names
    assert of(names, "workers", "launchd.server", "launchd.cli", *SDKS, *WEB) == []


@pytest.mark.parametrize("module", ["workers.main", "workers.job_runner"])
def test_a_worker_knows_of_launchd_the_client_alone(module: str) -> None:
    names = imported_by(module)

    assert module in names
    assert [name for name in of(names, "launchd") if name != "launchd" and not within(name, "launchd.client")] == []
    assert of(names, *SDKS, *WEB) == []


def test_the_fork_server_holds_no_client_of_the_queue_server() -> None:
    names = imported_by("workers.preload")

    assert "workers.sources.git" in names
    assert of(names, "launchd.client", "requests") == []


def test_the_command_line_loads_the_server_only_when_called() -> None:
    assert of(imported_by("launchd.cli"), "launchd.server", "workers", *SDKS, *WEB) == []


def test_the_list_of_imports_sees_what_is_not_installed(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text("try:\n    import kubernetes\nexcept ImportError:\n    pass\n")

    assert of(imported_by("planted", tmp_path), *SDKS) != []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_source_keeps_the_rule(rule: Rule) -> None:
    assert rule(our_source()) == []


@functools.cache
def our_source() -> SourceTree:
    return SourceTree(ROOT)


#: For each rule, files that break it.
PLANTED = {
    "leaf_violations": {"ipc/states.py": "import yaml"},
    "launchd_imports_workers": {"launchd/agent/worker_pool/spawner.py": "def start():\n    from workers import main"},
    "workers_import_launchd": {"workers/main.py": "from launchd.client import errors\nfrom launchd import journal"},
    "runners_import_each_other": {
        "workers/runners/fake.py": "from workers.runners.docker import api",
        "workers/runners/docker/__init__.py": "",
        "workers/runners/docker/api.py": "",
    },
    "import_cycles": {
        "launchd/a.py": "import launchd.b",
        "launchd/b.py": "def later():\n    from launchd import c",
        "launchd/c.py": "from .a import thing",
    },
    "prints_outside_the_command_line": {"launchd/cli/status.py": "print(1)", "workers/main.py": "print(2)"},
    "types_learnt_while_running": {
        "launchd/a.py": "class Note: ...\ndef read(text):\n    return msgspec.json.decode(text, type=Note)"
    },
    "asks_what_our_objects_are": {"launchd/a.py": "class Runner: ...\nx = isinstance(1, (int, Runner))"},
    "modules_without_docstring": {"launchd/a.py": "x = 1"},
    "former_words_in_names": {"launchd/a.py": "class JobStaff: ..."},
    "persons_in_texts": {"launchd/a.py": "# Our worker."},
    "packaging_as_a_package": {"packaging/deb/__init__.py": ""},
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_finds_a_planted_violation(rule: Rule, tmp_path: Path) -> None:
    for name, text in PLANTED[rule.__name__].items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    assert len(rule(SourceTree(tmp_path))) == 1
