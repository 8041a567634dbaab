"""What a submitter tries to get of the host through a container: against the strict policy, and against a usual one."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ipc.errors import InvalidSpec, JobError, PolicyRefused
from ipc.policy_rules import ContainerRules
from launchd.config.presets import PRESETS
from tests.contract.runners.support import NAME, Job, wait_for_end
from tests.support.engine import BASE_IMAGE, TestEngine
from workers.docker import host_paths, policy
from workers.docker.flags import flag_name, translate
from workers.output import OutputWriter
from workers.output_follower import OutputFollower

#: Root on the host by another name; each is refused unless the administrator names it.
ROOT_BY_ANOTHER_NAME: list[dict[str, Any]] = [
    {"privileged": True},
    {"--privileged": True},
    {"PRIVILEGED": "true"},
    {"privileged": ["false", "true"]},
    {"device": "/dev/mem"},
    {"device": "/dev/../dev/mem"},
    {"device": "/dev/kmsg:/dev/null:r"},
    {"device-cgroup-rule": "b *:* rwm"},
    {"device_cgroup_rule": ["a *:* rwm"]},
    {"pid": "host"},
    {"pid": "container:other"},
    {"ipc": "host"},
    {"uts": "host"},
    {"userns": "host"},
    {"cgroupns": "host"},
    {"cgroup-parent": "/"},
    {"net": "host"},
    {"network": ["none", "host"]},
    {"network": "container:other"},
    {"network": "name=host"},
    {"cap-add": "ALL"},
    {"cap_add": ["CAP_SYS_ADMIN"]},
    {"security-opt": "seccomp=unconfined"},
    {"security-opt": ["no-new-privileges", "apparmor=unconfined"]},
    {"security-opt": "systempaths=unconfined"},
    {"volumes-from": "other"},
    {"volume": "/:/host"},
    {"v": "/:/host:ro"},
    {"volume": "/etc/../:/host"},
    {"volume": "//:/host"},
    {"volume": "/var/run/docker.sock:/docker.sock"},
    {"volume": "/run:/x"},
    {"mount": "type=bind,source=/,target=/host"},
    {"mount": "type=bind,target=/host,src=/,bind-propagation=rshared"},
    {"mount": "type=volume,target=/host,volume-driver=local"},
    {"mount": "type=volume,target=/host,volume-opt=type=none,volume-opt=o=bind,volume-opt=device=/"},
    {"volume": "other:/data"},
    {"volume-driver": "local"},
    {"group-add": "docker"},
    {"runtime": "sysbox"},
    {"sysctl": "kernel.core_pattern=|/x"},
    {"oom-score-adj": -1000},
    {"publish": "22:22"},
    {"label": "com.centurylinklabs.watchtower.enable=true"},
    {"env": "AWS_SECRET_ACCESS_KEY"},
    {"env": ["A=1", "LAUNCHD_API_KEY"]},
    {"env-file": "/root/.env"},
    {"env-file": "/proc/1/environ"},
    {"label-file": "/etc/shadow"},
    {"cidfile": "/etc/cron.d/x"},
    {"log-driver": "syslog"},
    {"log-opt": "path=/etc/x"},
    {"restart": "always"},
    {"ulimit": "rtprio=99"},
    {"ulimit": ["nofile=1024", "RtPrio=-1:-1"]},
    {"cpu-shares": 262144},
    {"user": "root"},
    {"mount": "type=bind,src=/x/../..,dst=/host"},
    {"mount": "type=bind,source=/,target=/host,bind-create-src"},
    {"mount": "type=volume,source=other,target=/x,volume-subpath=../.."},
    {"device": "nvidia.com/gpu=all"},
    {"device": "/dev/nvidia0"},
    {"network": "host,alias=x"},
    {"ipc": "container:other"},
    {"cgroupns": "HOST"},
    {"security-opt": "no-new-privileges=false"},
    {"env-file": "/proc/self/environ"},
    {"no-such-flag": "x"},
    {"": "x"},
]


#: No policy gives these to a job.
GIVEN_TO_NOBODY: list[dict[str, Any]] = [
    {"annotation": "run.oci.keep_original_groups=1"},
    {"use-api-socket": True},
    {"mount": "type=image,source=other,target=/x"},
    {"mount": "type=cluster,source=other,target=/x"},
    {"mount": "type=npipe,source=/x,target=/x"},
    {"volume": "/:/host:rshared"},
    {"label": "launchd.agent=another"},
    {"label": "launchd.gpu-lease=1"},
    {"log-driver": "none"},
    {"restart": "always"},
    {"cidfile": "/etc/cron.d/x"},
    {"label-file": "/etc/shadow"},
    {"storage-opt": "SIZE=1000g"},
    {"storage-opt": "size=1e3g"},
    {"storage-opt": ["size=1g", "Size=1000g"]},
    {"storage-opt": "overlay2.override_kernel_check=true"},
    {"stop-timeout": -1},
    {"stop-timeout": 10**9},
    {"pull": "sometimes"},
    {"volume": "/x/../../etc:/x"},
    {"env-file": "/etc/../root/.env"},
    {"env-file": "relative"},
    {"tmpfs": "../x"},
    {"mount": "type=tmpfs,target=/x,tmpfs-mode=setuid"},
    {"privileged": [True]},
    {"privileged": {"x": 1}},
]  # fmt: skip

#: Flags that take a number, each with a value around it.
NUMBERS = (
    *(("memory", "{}"), ("memory", "{}g"), ("shm-size", "{}"), ("memory-swap", "{}"), ("memory-reservation", "{}")),
    *(("cpus", "{}"), ("cpu-quota", "{}"), ("cpu-period", "{}"), ("pids-limit", "{}"), ("stop-timeout", "{}")),
    *(
        ("ulimit", "nofile={}"),
        ("health-interval", "{}h"),
        ("device-read-bps", "/dev/x:{}"),
        ("storage-opt", "size={}"),
    ),
    ("mount", "type=tmpfs,target=/x,tmpfs-size={}"),
)


def _refused(args: dict[str, Any], rules: ContainerRules) -> str | None:
    """Return why a job with such arguments is refused, as the runner judges them."""
    facts = policy.Facts(engine_sockets=host_paths.engine_sockets(None))
    try:
        request = host_paths.resolve(translate(args))
    except InvalidSpec as error:
        return error.message
    return " ".join(policy.refusals(request, host_paths.resolve_rules(rules), facts)) or None


@pytest.mark.parametrize("args", ROOT_BY_ANOTHER_NAME, ids=str)
def test_a_refusal_names_what_was_asked_and_where_it_could_be_allowed(args: dict[str, Any]) -> None:
    refused = _refused(args, ContainerRules()) or ""

    (key,) = args
    assert flag_name(key) in refused or f"local-container.{key}" in refused
    assert "launch-config.yaml" in refused or "local-container." in refused or "is not there on this host" in refused


@pytest.mark.parametrize("preset", ["public", "team", "trusted"])
@pytest.mark.parametrize("args", GIVEN_TO_NOBODY, ids=str)
def test_some_things_no_policy_gives(args: dict[str, Any], preset: str) -> None:
    (key,) = args

    assert f"resource_args.local-container.{key}" in (_refused(args, PRESETS[preset]["containers"]) or "")


@pytest.mark.parametrize(
    "number", ["9" * 400, "9" * 5000, "1" + "0" * 30, 10**400, 1e308], ids=lambda one: str(one)[:9]
)
@pytest.mark.parametrize(("flag", "value"), NUMBERS)
def test_a_number_that_no_engine_can_hold_is_a_sentence(flag: str, value: str, number: Any) -> None:
    written = number if value == "{}" else value.format(number if type(number) is str else int(number))

    assert f"resource_args.local-container.{flag} must " in (_refused({flag: written}, ContainerRules()) or "")


@pytest.mark.parametrize("args", ROOT_BY_ANOTHER_NAME, ids=str)
def test_the_strict_policy_gives_nothing_of_the_host(args: dict[str, Any]) -> None:
    assert _refused(args, ContainerRules())


@pytest.mark.parametrize("args", ROOT_BY_ANOTHER_NAME, ids=str)
def test_what_is_granted_opens_nothing_else(args: dict[str, Any], tmp_path: Path) -> None:
    rules = ContainerRules(
        mounts=(f"{tmp_path}:rw",), devices=("/dev/fuse",), networks=("bridge", "none", "jobs-*"), users=("1000",),
        capabilities=("SYS_PTRACE",), volumes=("cache-*",), flags=("ulimit=memlock=*", "ipc=shareable", "hostname"),
    )  # fmt: skip

    assert _refused(args, rules)


#: What colleagues share: volumes with names, and ports.
SHARED_BY_A_TEAM = ({"volume": "other:/data"}, {"publish": "22:22"})


@pytest.mark.parametrize("preset", ["public", "team"])
@pytest.mark.parametrize("args", [args for args in ROOT_BY_ANOTHER_NAME if args not in SHARED_BY_A_TEAM], ids=str)
def test_no_preset_but_the_one_for_it_makes_a_job_root(args: dict[str, Any], preset: str) -> None:
    assert _refused(args, PRESETS[preset]["containers"])


@pytest.mark.parametrize("preset", ["public", "team", "trusted"])
@pytest.mark.parametrize("source", ["", "/jobs", "/keys", "/journal.sqlite", "/..", "/../.."])
def test_no_preset_gives_out_the_agents_own_files(tmp_path: Path, preset: str, source: str) -> None:
    state_dir = tmp_path / "agent" / "state"
    for name in ("jobs", "keys"):
        (state_dir / name).mkdir(parents=True)
    (state_dir / "journal.sqlite").touch()
    facts = policy.Facts(agent_directories=(str(state_dir),))
    path = os.path.normpath(f"{state_dir}{source}")

    request = host_paths.resolve(translate({"volume": f"{path}:/x:ro"}))

    assert policy.refusals(request, host_paths.resolve_rules(PRESETS[preset]["containers"]), facts)


def test_those_who_may_be_root_may_mount_what_lies_in_the_host(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()

    assert _refused({"volume": f"{tmp_path}/data:/x"}, PRESETS["trusted"]["containers"]) is None
    assert _refused({"volume": "/var/run/docker.sock:/x"}, PRESETS["trusted"]["containers"])


# -- paths


def _tree(directory: Path) -> tuple[Path, Path]:
    """Make a directory of data with links out of it, and something secret beside it."""
    data, secret = directory / "data", directory / "secret"
    data.mkdir()
    secret.mkdir()
    (secret / "key").write_text("s3cret")
    (data / "link").symlink_to(secret)
    (data / "up").symlink_to("..")
    (data / "relative").symlink_to("../secret/key")
    (data / "chain").symlink_to("link")
    return data, secret


@pytest.mark.parametrize("name", ["link", "link/", "link/key", "up", "up/secret", "relative", "chain", "./link"])
@pytest.mark.parametrize("mode", ["", ":rw"])
def test_links_lead_out_of_no_granted_directory(tmp_path: Path, name: str, mode: str) -> None:
    data, _ = _tree(tmp_path)

    refused = _refused({"volume": f"{data}/{name}:/x:ro"}, ContainerRules(mounts=(f"{data}{mode}",)))

    assert refused is not None
    assert "is not granted" in refused


def test_a_directory_that_a_job_can_exchange_for_a_link_is_mounted_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    data, _ = _tree(tmp_path)
    (data / "inner").mkdir()
    rules = ContainerRules(mounts=(f"{data}:rw",))

    assert "mount" in (_refused({"volume": f"{data}/inner:/x"}, rules) or "")
    assert _refused({"volume": f"{data}:/x"}, rules) is None


def test_a_socket_of_the_engine_is_found_by_where_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "engine.sock"
    (tmp_path / "link").symlink_to(path)
    with closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(str(path))
        facts = policy.Facts(engine_sockets=host_paths.engine_sockets(str(tmp_path / "link")))
        rules = ContainerRules(mounts=(str(tmp_path),))
        for source in (path, tmp_path, tmp_path / "link"):
            request = host_paths.resolve(translate({"volume": f"{source}:/x:ro"}))
            assert "makes a job root" in " ".join(policy.refusals(request, rules, facts))


def test_a_link_that_is_set_above_a_file_of_variables_is_not_followed(tmp_path: Path) -> None:
    """Jobs may write to the directory that the policy grants for such files."""
    data, secret = tmp_path / "data", tmp_path / "secret"
    for directory in (data / "inner", secret):
        directory.mkdir(parents=True)
        (directory / "env").write_text(f"FROM={directory.name}\n")
    request = host_paths.resolve(translate({"env-file": f"{data}/inner/env"}))
    assert host_paths.read_variables(request, {}) == {"FROM": "inner"}

    (data / "inner").rename(data / "other")
    (data / "inner").symlink_to(secret)

    with pytest.raises(InvalidSpec, match="cannot be read"):
        host_paths.read_variables(request, {})


# -- the same on a real engine


@pytest.fixture
def make_job(tmp_path: Path, engine: TestEngine) -> Iterator[Callable[..., Job]]:
    def make(script: str, rules: ContainerRules, image: str = BASE_IMAGE, **args: Any) -> Job:
        return Job(
            tmp_path / "state" / "jobs" / NAME,
            resource="local-container",
            command=("sh", "-c", script),
            engine=engine.address,
            containers=rules,
            image=image,
            knobs=args,
        )

    yield make
    engine.remove_containers()


def _run(job: Job) -> str:
    """Run a job to its end and return its output."""
    runner, handle = job.submit()
    follower = OutputFollower(runner, handle, OutputWriter(job.directory, job.jobs))
    follower.start()
    wait_for_end(runner, handle)
    assert follower.finish(20)
    return job.text()


@pytest.mark.engine
def test_a_link_that_is_set_after_the_first_look_is_seen_at_the_submission(
    make_job: Callable[..., Job], tmp_path: Path, engine: TestEngine
) -> None:
    data, secret = _tree(tmp_path)
    (data / "set").mkdir()
    job = make_job("cat /x/key", ContainerRules(mounts=(str(data),)), volume=f"{data}/set:/x:ro")
    runner = job.runner()
    runner.validate()
    (data / "set").rmdir()
    (data / "set").symlink_to(secret)

    with pytest.raises(PolicyRefused, match=r"set \(which is .*secret\) is not granted"):
        runner.submit(job.launch)
    assert engine.containers() == {}


@pytest.mark.engine
def test_a_granted_mount_to_be_read_is_not_written_to(make_job: Callable[..., Job], tmp_path: Path) -> None:
    data, _ = _tree(tmp_path)
    rules = ContainerRules(mounts=(str(data),))

    text = _run(make_job("touch /x/new || echo refused; cat /x/link/key || echo no", rules, volume=f"{data}:/x:ro"))

    # Both streams come here, each in its own time.
    assert {"refused", "no"} <= set(text.splitlines())
    assert not (data / "new").exists()


@pytest.mark.engine
@pytest.mark.parametrize(
    "image", ["--privileged", "-v/:/host", f"{BASE_IMAGE} --privileged", "a;reboot", "../../etc", "$(id)", "a\nb"]
)
def test_a_name_of_an_image_is_no_option(make_job: Callable[..., Job], engine: TestEngine, image: str) -> None:
    with pytest.raises(JobError, match="is no name of a container image"):
        make_job("true", ContainerRules(), image).submit()
    assert engine.containers() == {}


@pytest.mark.engine
def test_a_container_has_no_more_than_dockers_own_rights(make_job: Callable[..., Job]) -> None:
    script = "grep -E 'CapEff|Seccomp:' /proc/self/status; ls /dev | wc -l; ls /run 2>/dev/null; echo $SECRET"
    os.environ["SECRET"] = "s3cret"
    try:
        lines = _run(make_job(script, ContainerRules(), env="A=${SECRET}")).split()
    finally:
        del os.environ["SECRET"]

    rights = int(lines[1], 16)
    assert not rights & 1 << 21, "the right to administer the system"
    assert "s3cret" not in lines


ODD_WISHES: list[dict[str, Any]] = [
    *({"tmpfs": path} for path in ("/", "/proc", "/proc/sys", "/dev", "/sys/fs/cgroup", "/etc", "/x:size=bad")),
    *({"workdir": "../.."}, {"hostname": "a\nb"}, {"domainname": "x"}, {"stop-signal": "SIGNOPE"}),
    *({"add-host": "x"}, {"add-host": "host:host-gateway"}, {"dns": "nonsense"}, {"dns": "127.0.0.1"}),
    *({"platform": "no/such"}, {"network-alias": "db"}, {"cpuset-cpus": "0-9999"}, {"expose": "1-65535"}),
    *({"pull": "never"}, {"volume": "/var/run/nvidia-container-devices/all"}, {"device-read-bps": "/etc/shadow:1m"}),
]


@pytest.mark.engine
@pytest.mark.parametrize("args", ODD_WISHES, ids=str)
def test_an_odd_wish_ends_in_a_sentence_or_in_its_container(
    make_job: Callable[..., Job], engine: TestEngine, args: dict[str, Any]
) -> None:
    job = make_job("grep -c . /proc/self/mounts; id -u; grep CapEff /proc/self/status", ContainerRules(), **args)
    refusal, lines = None, []
    try:
        lines = _run(job).split()
    except JobError as error:
        refusal = error.message

    assert refusal is None or (refusal.endswith(".") and engine.containers() == {})
    assert not lines or int(lines[-1], 16) & 1 << 21 == 0, "no right to administer the system"


@pytest.mark.engine
def test_the_hosts_network_by_its_id_is_not_the_hosts_network(make_job: Callable[..., Job], engine: TestEngine) -> None:
    with engine.client() as client:
        network = client.networks(names=["host"])[0]["Id"]

    text = _run(make_job("cat /proc/net/dev", ContainerRules(networks=("*",)), network=network))

    assert [line.split(":")[0].strip() for line in text.splitlines()[2:]] == ["lo"]
