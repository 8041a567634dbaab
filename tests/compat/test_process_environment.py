"""The environment of a job that is a plain process, by W&B's agent and by this one, for the same run specs.

W&B's agent writes a command line for a shell, with the variables before the command. It is run, and the command says
what it was given; this agent's environment is that which its shim gives to the command. A difference is one of
:data:`DIFFERENCES`, which are listed with their reasons in docs/compatibility.md, or a fault.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ipc.run_spec import parse_run_spec
from ipc.work_order import WorkOrder
from tests.compat.both_agents import BASE_URL, FOR_ANY_TARGET, KEY, created_by_wandb, numbered
from workers.builders import Build
from workers.job_environment import job_environment
from workers.runners import LaunchRequest
from workers.runners.local_process import host_environment

SCRIPT = Path(__file__).parent / "scripts" / "process_commands.py"
TELLS = "import json, os; print(json.dumps(dict(os.environ)))"

#: What the agent's own process has: some of it a job needs, and some is not for it.
AGENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/var/lib/agent",
    "LANG": "C.UTF-8",
    "WANDB_API_KEY": "key of the agent",
    "AWS_SECRET_ACCESS_KEY": "secret of the agent",
    "VIRTUAL_ENV": "/opt/agent",
}

Variables = dict[str, str]


def spec(**more: Any) -> dict[str, Any]:
    given = more.pop("overrides", {})
    overrides = {"entry_point": [sys.executable, "-c", f"'{TELLS}'"], **given}
    return {"entity": "ada", "project": "Engine", "resource": "local-process", **more, "overrides": overrides}


def overridden(**overrides: Any) -> dict[str, Any]:
    return spec(overrides=overrides)


def of_length(characters: int) -> dict[str, Any]:
    """Return a run config of so many characters of JSON."""
    return {"t": "x" * (characters - len(json.dumps({"t": ""})))}


#: W&B's limit for one variable.
MOST = 32670
RUN_CONFIGS: list[dict[str, Any]] = [
    {},
    {"lr": 0.1},
    {"lr": 1e-5, "big": 10**20, "none": None, "yes": True},
    {"nested": {"list": [1, [2, {"a": "b"}]], "empty": {}}},
    {"text": 'it\'s "quoted" `id` $HOME $(id) \\ !'},
    {"text": "two\nlines\ttab"},
    {"text": "ü" * 40},
    {"text": "日本語"},
    {"text": "\u2028 \x01 \x1f"},
    {"": "no name"},
    {"a.b": 1, "a b": 2, "a=b": 3},
    {"z": 1, "a": 2},
    *(of_length(characters) for characters in (MOST - 1, MOST, MOST + 1, 2 * MOST, 2 * MOST + 1, 100_000)),
    {"text": "ü" * MOST},
]
FILES: list[dict[str, Any]] = [
    {"config.yaml": {"a": 1}},
    {"a/b.json": [1, 2], "c.yaml": {"text": "two\nlines"}},
    {"big.json": of_length(MOST)},
    {"big.json": of_length(3 * MOST)},
    {"name with space.yaml": {}, "ünicode.yaml": None},
]
ARTIFACTS: list[dict[str, Any]] = [
    {"data": "wandb-artifact://ada/engine/data:v1"},
    {"data": "ada/engine/data:latest", "model": "wandb-artifact://_id/QXJ0"},
    {"data with space": "a/b/c:v0"},
    {"_wandb_job": "other/job:v1"},
]

CORPUS: list[dict[str, Any]] = [
    *(spec(**one) for one in FOR_ANY_TARGET),
    *(overridden(run_config=config) for config in RUN_CONFIGS),
    *(overridden(files=files) for files in FILES),
    *(overridden(artifacts=artifacts) for artifacts in ARTIFACTS),
    spec(job="ada/engine/job-train:v1"),
    spec(job="ada/engine/job-train:latest", overrides={"artifacts": {"data": "a/b/c:v0"}}),
    spec(job="ada/engine/job-train:v1", overrides={"artifacts": {"_wandb_job": "other/job:v1"}}),
    *(spec(project=project) for project in ("A-B_c.d", "ÜBUNG", "two words", "p" * 120)),
    *(spec(entity=entity) for entity in ("Team-A", "e" * 120)),
    *(spec(name=name) for name in ("two words", "it's $HOME", "日本語", "n" * 500, " ")),
    *(spec(author=author) for author in ("Ada L.", "ünal")),
    spec(sweep_id="sw33p", _resume_count=0),
    spec(sweep_id=""),
    *(spec(_resume_count=count) for count in (0, 1, 5)),
    spec(uri="https://github.com/team/repository"),
    spec(git={"repo": "https://github.com/team/repository", "version": "main"}),
    spec(uri="placeholder-uri-scheduler", sweep_id="sw33p"),
    spec(resource_args={"local-process": {"memory": "2g"}}),
    spec(name="n", author="a", sweep_id="s", _resume_count=1, overrides={"run_config": {"a": 1}, "args": ["x"]}),
    spec(_wandb_api_key="local-" + "1" * 40, author="ada"),
    spec(_wandb_api_key="local-" + "2" * 40),
]


def agents_variables_stay_with_it(theirs: Variables, ours: Variables) -> bool:
    """W&B's agent gives its whole environment to the job, secrets among it."""
    gone = AGENT.keys() - ours.keys()
    for name in gone:
        theirs.pop(name)
    return gone == {"AWS_SECRET_ACCESS_KEY", "VIRTUAL_ENV"}


def variable_names_the_job(_theirs: Variables, ours: Variables) -> bool:
    """By it each process of a job is known."""
    return ours.pop("LAUNCHD_JOB_NAME").startswith("launchd-")


def output_is_not_kept_back(_theirs: Variables, ours: Variables) -> bool:
    """What a job printed last is there when it is killed; W&B's images set it as well."""
    return ours.pop("PYTHONUNBUFFERED") == "1"


def agents_python_is_in_the_path(_theirs: Variables, ours: Variables) -> bool:
    """Many hosts have no ``python``, which most jobs call."""
    ours["PATH"], _, last = ours["PATH"].rpartition(":")
    return last == str(Path(sys.executable).parent)


DIFFERENCES: tuple[Callable[[Variables, Variables], bool], ...] = (
    agents_variables_stay_with_it,
    variable_names_the_job,
    output_is_not_kept_back,
    agents_python_is_in_the_path,
)


@pytest.fixture(scope="module")
def corpus() -> list[dict[str, Any]]:
    return numbered(CORPUS)


@pytest.fixture(scope="module")
def theirs(corpus: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> list[Variables]:
    """What a job has in its environment by W&B's agent, in the order of the corpus."""
    home = tmp_path_factory.mktemp("home")
    commands = created_by_wandb(SCRIPT, corpus, "", home)["commands"]
    assert len(commands) == len(corpus)
    return [said_by(home / "command", command) for command in commands]


def said_by(file: Path, command: str) -> Variables:
    # The longest are longer than an argument of a program may be.
    file.write_text(command)
    done = subprocess.run(["bash", file], env=AGENT, capture_output=True, text=True, check=True)
    said: Variables = json.loads(done.stdout)
    # The shell's own.
    return {name: text for name, text in said.items() if name not in ("PWD", "SHLVL", "_", "OLDPWD")}


def ours(one: dict[str, Any]) -> Variables:
    """Return what a job has in its environment by this agent."""
    key = one.get("_wandb_api_key")
    parsed = parse_run_spec({name: value for name, value in one.items() if name != "_wandb_api_key"})
    name = f"launchd-{parsed.run_id}-1"
    order = WorkOrder(name, "item", "queue", "entity", 1, BASE_URL, parsed, "/none", submitter_key=key is not None)
    variables = job_environment(order, key or KEY)
    launch = LaunchRequest(name, parsed.overrides.entry_point, variables, Path("/none"), Build(), parsed.overrides.args)
    return host_environment(launch, None, AGENT)


def test_the_corpus_is_large_enough() -> None:
    assert len(CORPUS) >= 60


@pytest.mark.timeout(180)
def test_each_environment_is_wandbs_but_for_what_is_listed(
    corpus: list[dict[str, Any]], theirs: list[Variables]
) -> None:
    for number, (one, their) in enumerate(zip(corpus, theirs, strict=True)):
        our = ours(one)
        different = [differs.__name__ for differs in DIFFERENCES if not differs(their, our)]
        assert (different, our) == ([], their), f"spec {number}"


def test_every_difference_is_listed() -> None:
    page = (Path(__file__).parents[2] / "docs" / "compatibility.md").read_text()
    table = page.partition("## Plain processes\n")[2]

    for words in ("LAUNCHD_JOB_NAME", "PYTHONUNBUFFERED", "PATH", "AWS_SECRET_ACCESS_KEY"):
        assert f"`{words}`" in table
