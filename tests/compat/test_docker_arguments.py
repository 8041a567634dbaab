"""The containers that W&B's agent makes of run specs and those that this one makes, compared.

W&B's agent writes command lines for a shell. They are run with ``docker create`` in the place of ``docker run``, at an
engine that keeps what it is asked for, where this agent submits its jobs, too. A difference is one of
:data:`DIFFERENCES`, which are listed with their reasons in docs/compatibility.md, or a fault.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ipc.errors import JobError
from ipc.policy_rules import ContainerRules, PolicyRules
from ipc.settings import DockerConfig
from tests.compat.both_agents import FOR_ANY_TARGET, create_here, created_by_wandb, image_spec, numbered
from tests.support.engine_recorder import EngineRecorder, engine_recorder
from tests.support.registries import require

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

SCRIPT = Path(__file__).parent / "scripts" / "docker_commands.py"
IMAGE = "registry.example/team/train:1"


def spec(**more: Any) -> dict[str, Any]:
    """Return a run spec of an image; ``flags`` are those of ``docker run``."""
    return image_spec("local-container", IMAGE, more.pop("flags", None), **more)


def overridden(**overrides: Any) -> dict[str, Any]:
    return spec(overrides=overrides)


def asking(**flags: Any) -> dict[str, Any]:
    return spec(flags={name.replace("_", "-"): value for name, value in flags.items()})


CORPUS: list[dict[str, Any]] = [
    *(spec(**one) for one in FOR_ANY_TARGET),
    spec(flags={}),
    *(
        overridden(run_config=config)
        for config in ({"lr": 0.1}, {"text": 'it\'s "$HOME" `id` \\'}, {"text": "ü" * 40}, {"text": "x" * 40000})
    ),
    asking(env="A=1"),
    asking(env=["A=1", "B=two words", "C=$(id)"]),
    asking(e=["WANDB_NAME=mine"]),
    asking(env=["A=${run_id}", "B=${project_name}/${entity_name}/${author}", "C=${image_uri}"]),
    asking(add_host=["db:10.0.0.1", "cache:10.0.0.2"]),
    asking(network="none"),
    asking(network="bridge"),
    asking(net="none"),
    asking(hostname="trainer"),
    asking(h="trainer"),
    asking(domainname="example"),
    asking(dns=["10.0.0.1"], dns_search=["example"], dns_option=["ndots:1"]),
    asking(expose=["8080"]),
    asking(memory="512m"),
    asking(m="1g"),
    asking(memory="512m", memory_swap="1g"),
    asking(memory="512m", memory_swap=-1),
    asking(memory="512m", memory_reservation="256m", memory_swappiness=10),
    asking(shm_size="256m"),
    asking(cpus=1.5),
    asking(cpus="0.5"),
    asking(cpu_shares=512, cpu_period=100000, cpu_quota=50000),
    asking(cpuset_cpus="0"),
    asking(blkio_weight=300),
    asking(pids_limit=100),
    asking(ulimit=["nofile=1024:1024", "core=0"]),
    asking(oom_score_adj=500),
    asking(volume="/usr/share:/data:ro"),
    asking(volume=["/usr/share:/data", "named:/cache"]),
    asking(v=["/usr/share:/data"]),
    asking(mount="type=bind,source=/usr/share,target=/data,readonly"),
    asking(mount=["type=tmpfs,destination=/scratch,tmpfs-size=1048576"]),
    asking(tmpfs=["/scratch:size=16m,mode=0700"]),
    asking(read_only=True),
    asking(workdir="/data"),
    asking(w="/data"),
    asking(user="1000:1000"),
    asking(u="1000"),
    asking(group_add=["audio", "1234"]),
    asking(cap_add=["SYS_PTRACE"], cap_drop=["ALL"]),
    asking(security_opt=["no-new-privileges"]),
    asking(security_opt=["seccomp=unconfined"]),
    asking(device=["/dev/null:/dev/zero0:r"]),
    asking(ipc="host"),
    asking(pid="host"),
    asking(init=True),
    asking(stop_signal="SIGINT", stop_timeout=30),
    asking(label=["team=vision", "empty"]),
    asking(entrypoint="/bin/echo"),
    asking(health_cmd="true", health_interval="5s", health_retries=2, health_timeout="1s"),
    asking(no_healthcheck=True),
    asking(sysctl=["net.ipv4.ip_forward=1"]),
    asking(tty=True, interactive=True),
    asking(runtime="runc"),
    asking(runtime="runc", env=["NVIDIA_VISIBLE_DEVICES=all"]),
    asking(add_host="one:10.0.0.1", network="host", env="A=1", label="team=vision", memory="1g", cpus=2),
]

RULES = ContainerRules(
    mounts=("/usr/share:rw",),
    volumes=("*",),
    devices=("/dev/null",),
    networks=("*", "host"),
    capabilities=("SYS_PTRACE",),
    users=("*",),
    flags=("group-add", "ipc", "label", "oom-score-adj", "pid", "runtime", "security-opt", "sysctl"),
)

Seen = dict[str, Any]

#: What Docker's command line says of a container where nobody asked for it.
DEFAULTS = {"ConsoleSize": [0, 0], "MemorySwappiness": -1, "NetworkMode": "default", "RestartPolicy": {"Name": "no"}}

OWN_LABELS = ("launchd.agent", "launchd.item", "launchd.name", "launchd.queue", "wandb.ai/run-id")


def is_removed_by_the_agent(theirs: Seen, _ours: Seen) -> bool:
    """Docker's command line removes W&B's container, and reads its output; the agent does both itself."""
    said = (theirs["HostConfig"].pop("AutoRemove"), theirs.pop("AttachStdout"), theirs.pop("AttachStderr"))
    return said == (True, True, True)


def has_an_init(theirs: Seen, ours: Seen) -> bool:
    """A shell as process 1 would not hear SIGTERM."""
    theirs["HostConfig"].pop("Init", None)
    return ours["HostConfig"].pop("Init") is True


def has_a_limited_log(_theirs: Seen, ours: Seen) -> bool:
    """The output must not fill the disk."""
    return bool(ours["HostConfig"].pop("LogConfig")["Type"] == "json-file")


def has_labels(_theirs: Seen, ours: Seen) -> bool:
    """The container is found by them."""
    labels = ours["Labels"]
    ours["Labels"] = {name: text for name, text in labels.items() if name not in OWN_LABELS}
    if not ours["Labels"]:
        del ours["Labels"]
    return set(labels) >= set(OWN_LABELS)


def has_own_variables(_theirs: Seen, ours: Seen) -> bool:
    """Its own name, and no GPUs where none were given to it."""
    name = ours["Env"].pop("LAUNCHD_JOB_NAME")
    if "Runtime" not in ours["HostConfig"]:
        return name is not None and ours["Env"].pop("NVIDIA_VISIBLE_DEVICES") == "void"
    return name is not None


def reaches_a_server_of_this_host(theirs: Seen, ours: Seen) -> bool:
    """W&B's agent gives the host's network for ``localhost``, and not for 127.0.0.1."""
    asked, given = theirs["HostConfig"].get("NetworkMode"), ours["HostConfig"].get("NetworkMode")
    if asked is None:
        del ours["HostConfig"]["NetworkMode"]
    if given == "host":
        hosts = ours["HostConfig"]["ExtraHosts"]
        hosts.remove("host.docker.internal:host-gateway")
        if not hosts:
            del ours["HostConfig"]["ExtraHosts"]
    return bool(given == (asked or "host"))


def mounts_what_is_there(theirs: Seen, ours: Seen) -> bool:
    """Docker makes a directory of the host where a volume's is missing; a mount that is missing is refused."""
    binds = [one for one in theirs["HostConfig"].pop("Binds", []) if one.startswith("/")]
    named = [one for one in ours["HostConfig"].pop("Binds", []) if one.startswith("/")]
    mounts = [one for one in ours["HostConfig"].pop("Mounts", []) if one["Type"] == "bind"]
    asked = [one for one in theirs["HostConfig"].pop("Mounts", []) if one["Type"] == "bind"]
    return not named and len(mounts) == len(binds) + len(asked)


def writes_as_its_user(theirs: Seen, ours: Seen) -> bool:
    """What a job writes into a mount belongs to the job's user."""
    if "User" in theirs or "User" not in ours:
        return True
    return bool(ours.pop("User") == f"{os.getuid()}:{os.getgid()}" and ours["Env"].pop("HOME") == "/launchd-home")


def has_no_input(theirs: Seen, ours: Seen) -> bool:
    """There is no one to type."""
    for name in ("AttachStdin", "OpenStdin", "StdinOnce"):
        theirs.pop(name, None)
    return "OpenStdin" not in ours


DIFFERENCES: tuple[Callable[[Seen, Seen], bool], ...] = (
    is_removed_by_the_agent,
    has_an_init,
    has_a_limited_log,
    has_labels,
    has_own_variables,
    reaches_a_server_of_this_host,
    mounts_what_is_there,
    writes_as_its_user,
    has_no_input,
)


@pytest.fixture
def containers(tmp_path: Path) -> list[tuple[Seen | str, Seen | str]]:
    """What both asked for, in the order of the corpus; a text where there is no container."""
    require("docker")
    corpus = numbered(CORPUS)
    commands = created_by_wandb(SCRIPT, corpus, IMAGE, tmp_path)["commands"]
    assert len(commands) == len(corpus)
    with engine_recorder(tmp_path / "engine") as engine:
        theirs = [made_by_shell(engine, command, stub(tmp_path)) for command in commands]
        ours = [made_here(engine, one, tmp_path / "state" / "jobs") for one in corpus]
    return list(zip(theirs, ours, strict=True))


def stub(directory: Path) -> Path:
    """Write a program that has Docker create a container in the place of running one; returns its directory."""
    program = directory / "programs" / "docker"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nshift\nexec {shutil.which("docker")} create "$@"\n')
    program.chmod(0o755)
    return program.parent


def made_by_shell(engine: EngineRecorder, command: str, programs: Path) -> Seen | str:
    """Return the container that a command line of W&B's makes, or what Docker says against it."""
    environ = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "DOCKER_HOST": engine.address}
    done = subprocess.run(["bash", "-c", command], env=environ, capture_output=True, text=True, check=False)
    return engine.created[-1] if done.returncode == 0 else done.stderr


def made_here(engine: EngineRecorder, one: dict[str, Any], directory: Path) -> Seen | str:
    (directory / one["run_id"]).mkdir(parents=True)
    settings = {"docker": DockerConfig(host=engine.address), "policy": PolicyRules(containers=RULES)}
    try:
        create_here(one, IMAGE, directory, **settings)
    except JobError as error:
        return error.message
    return engine.created[-1]


def told(request: Seen) -> Seen:
    """Return what a request says, without what says nothing: empty values and Docker's defaults."""
    said: Seen = _said(request)
    said["Env"] = dict(one.split("=", 1) for one in said["Env"])
    host = said["HostConfig"]
    # Docker sorts them.
    host.get("Ulimits", []).sort(key=lambda limit: limit["Name"])
    # Newer ones have a longer name for each.
    host |= {key: [name.removeprefix("CAP_") for name in host[key]] for key in ("CapAdd", "CapDrop") if key in host}
    if "Mounts" in host:
        host["Mounts"] = [_said(one) for one in host["Mounts"]]
    for name, usual in DEFAULTS.items():
        if host.get(name) == usual:
            del host[name]
    return said


def _said(value: Any) -> Any:
    if type(value) is not dict:
        return value
    said = {key: _said(one) for key, one in value.items()}
    return {key: one for key, one in said.items() if one not in (None, "", 0, [], {})}


def test_the_corpus_is_large_enough() -> None:
    assert len(CORPUS) >= 60


def test_each_container_is_wandbs_but_for_what_is_listed(containers: list[tuple[Seen, Seen]]) -> None:
    for number, (their, our) in enumerate(containers):
        assert type(their) is type(our) is dict, f"spec {number}: {their}, {our}"
        theirs, ours = told(their), told(our)
        different = [differs.__name__ for differs in DIFFERENCES if not differs(theirs, ours)]
        assert (different, ours) == ([], theirs), f"spec {number}"


def test_every_difference_is_listed() -> None:
    page = (Path(__file__).parents[2] / "docs" / "compatibility.md").read_text()

    for words in (
        "--rm",
        "--init",
        "LAUNCHD_JOB_NAME",
        "NVIDIA_VISIBLE_DEVICES",
        "127.0.0.1",
        "--interactive",
        "--gpus",
    ):
        assert f"`{words}`" in page
