"""The checks of the host itself: GPUs, disks, users, control groups, the service, the journal, packages."""

import os
import pwd
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from msgspec.structs import replace

from ipc.settings import (
    BuilderConfig,
    EnvironmentConfig,
    JobLimits,
    JobsConfig,
    KubernetesConfig,
    PodBuildsConfig,
    RegistryConfig,
    UserNumbers,
)
from launchd.doctor import credentials, gpus, isolation, service, storage
from launchd.doctor.extras import missing_packages
from launchd.doctor.findings import Verdict
from launchd.doctor.host import Host
from tests.support.fake_kubernetes import Fault, fake_kubernetes
from tests.support.http_servers import serving
from tests.support.nvml import FakeDriver
from tests.support.registry_stub import Answer, RegistryStub
from tests.unit.doctor.conftest import FREE, MakeHost, only, unit_of, verdicts

# -- GPUs


def with_driver(host: MakeHost, tmp_path: Path, *lines: str) -> Host:
    (tmp_path / "root/proc/driver/nvidia").mkdir(parents=True)
    (tmp_path / "nvml").mkdir()
    driver = FakeDriver(tmp_path / "nvml", 2)
    driver.say(*lines)
    made = host(root=str(tmp_path / "root"))
    return replace(made, environ={**made.environ, **driver.environ})


def test_persistence_mode(host: MakeHost, tmp_path: Path) -> None:
    both = with_driver(host, tmp_path, "persistence 0 1", "persistence 1 1")
    assert only(gpus.check_persistence(both)).verdict is Verdict.OK


def test_persistence_mode_is_off(host: MakeHost, tmp_path: Path) -> None:
    found = only(gpus.check_persistence(with_driver(host, tmp_path, "persistence 0 1")))
    assert (found.verdict, "1 (NVIDIA Stub 80GB)" in found.sentence) == (Verdict.WARN, True)


def test_a_driver_that_is_broken(host: MakeHost, tmp_path: Path) -> None:
    found = only(gpus.check_persistence(with_driver(host, tmp_path, "broken")))
    assert (found.verdict, "does not answer" in found.sentence) == (Verdict.FAIL, True)


def test_no_driver(host: MakeHost, tmp_path: Path) -> None:
    assert only(gpus.check_persistence(host(root=str(tmp_path)))).verdict is Verdict.NOT_APPLICABLE


# -- disks


def test_a_state_directory(host: MakeHost, tmp_path: Path) -> None:
    assert verdicts(storage.check_state(host()))[0] is Verdict.NOT_APPLICABLE
    (tmp_path / "state").mkdir()
    assert verdicts(storage.check_state(host()))[0] is Verdict.OK
    assert list((tmp_path / "state").iterdir()) == []


def test_a_state_directory_that_is_no_directory(host: MakeHost, tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    found = next(iter(storage.check_state(host())))
    assert (found.verdict, "Not a directory" in found.sentence) == (Verdict.FAIL, True)


def test_the_temporary_directory(host: MakeHost, tmp_path: Path) -> None:
    made = host()
    made = replace(made, environ={**made.environ, "TMPDIR": str(tmp_path)})
    found = list(storage.check_temporary(made))
    assert found[0].verdict is Verdict.OK
    assert str(tmp_path) in found[-1].sentence


# -- users


def test_numbers_that_are_free(host: MakeHost) -> None:
    assert only(isolation.check_users(host(policy={"run_as_users": FREE}))).verdict is Verdict.OK
    assert only(isolation.check_users(host())).verdict is Verdict.NOT_APPLICABLE


def test_numbers_of_a_user(host: MakeHost) -> None:
    me = pwd.getpwuid(os.geteuid())
    taken = list(isolation.check_users(host(policy={"run_as_users": UserNumbers(me.pw_uid, me.pw_uid)})))
    assert verdicts(taken)[0] is Verdict.FAIL
    assert f"The user {me.pw_name} has the number {me.pw_uid}" in taken[0].sentence


def test_numbers_that_are_subordinate(host: MakeHost, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/subuid").write_text(f"# none\nada:{FREE.first + 50}:65536\nbroken\n")
    found = only(isolation.check_users(host(policy={"run_as_users": FREE}, root=str(tmp_path))))
    assert (found.verdict, "to ada, for users of containers" in found.sentence) == (Verdict.FAIL, True)


def test_numbers_of_systemd(host: MakeHost) -> None:
    found = list(isolation.check_users(host(policy={"run_as_users": UserNumbers(61000, 61300)})))
    assert any("DynamicUser" in one.sentence for one in found)


# -- control groups


def groups_of(group: Path, **limits: int) -> JobsConfig:
    return JobsConfig(control_group=str(group), limits=JobLimits(**limits))


def test_no_control_group(host: MakeHost, tmp_path: Path) -> None:
    missing = tmp_path / "group"
    found = only(isolation.check_control_groups(host(settings={"jobs": groups_of(missing)})))
    assert (found.verdict, f"There is no control group {missing}" in found.sentence) == (Verdict.WARN, True)
    held = only(isolation.check_control_groups(host(settings={"jobs": groups_of(missing, memory=1)})))
    assert (held.verdict, "limits of memory are not held" in held.meaning) == (Verdict.FAIL, True)


def test_a_control_group_that_lacks_controllers(host: MakeHost, tmp_path: Path) -> None:
    """Of files, as the kernel has them: not each host that runs the tests has groups of version 2."""
    (tmp_path / "cgroup.procs").touch()
    (tmp_path / "cgroup.controllers").write_text("cpu pids\n")
    found = only(isolation.check_control_groups(host(settings={"jobs": groups_of(tmp_path)})))
    assert (found.verdict, "lacks the controllers memory" in found.sentence) == (Verdict.WARN, True)
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    found = only(isolation.check_control_groups(host(settings={"jobs": groups_of(tmp_path)})))
    assert found.verdict is Verdict.OK


# -- the service, over a program in the place of systemctl; tests/packages asks the real one


def test_a_unit_that_runs(host: MakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = unit_of(host, tmp_path)
    monkeypatch.setenv("PATH", running.environ["PATH"])
    found = only(service.check_unit(running))
    assert (found.verdict, "active (running)" in found.sentence) == (Verdict.OK, True)


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"ActiveState": "failed", "ExecMainStatus": "78"}, [(Verdict.FAIL, "exit code 78")]),
        ({"ActiveState": "failed", "ExecMainStatus": "1"}, [(Verdict.FAIL, "exit code 1")]),
        ({"ActiveState": "inactive", "SubState": "dead"}, [(Verdict.WARN, "inactive (dead)")]),
        ({"UnitFileState": "disabled"}, [(Verdict.OK, "active"), (Verdict.WARN, "not enabled")]),
        ({"NeedDaemonReload": "yes"}, [(Verdict.OK, "active"), (Verdict.WARN, "systemd has the old one")]),
        ({"NRestarts": "40"}, [(Verdict.OK, "active"), (Verdict.WARN, "restarted the agent 40 times")]),
        ({"LoadState": "not-found"}, [(Verdict.NOT_APPLICABLE, "not installed")]),
    ],
)
def test_a_unit_with_trouble(
    host: MakeHost,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    properties: dict[str, str],
    expected: list[tuple[Verdict, str]],
) -> None:
    troubled = unit_of(host, tmp_path, **properties)
    monkeypatch.setenv("PATH", troubled.environ["PATH"])
    found = list(service.check_unit(troubled))
    assert [one.verdict for one in found] == [verdict for verdict, _ in expected]
    assert all(words in one.sentence for one, (_, words) in zip(found, expected, strict=True))


def test_no_systemd(host: MakeHost, tmp_path: Path) -> None:
    assert only(service.check_unit(host(root=str(tmp_path)))).verdict is Verdict.NOT_APPLICABLE


def test_no_agent_answers(host: MakeHost) -> None:
    with TemporaryDirectory(prefix="launchd-run-") as directory:
        made = host()
        settings = replace(made.config.launchd, runtime_dir=directory)
        found = only(service.check_agent(replace(made, config=replace(made.config, launchd=settings))))
    assert (found.verdict, "No agent runs here" in found.sentence) == (Verdict.WARN, True)


# -- the journal


def test_a_journal_that_is_damaged(host: MakeHost, tmp_path: Path) -> None:
    assert only(service.check_journal(host())).verdict is Verdict.NOT_APPLICABLE
    (tmp_path / "state").mkdir()
    (tmp_path / "state/journal.sqlite").write_bytes(b"no database" * 1000)
    found = only(service.check_journal(host()))
    assert (found.verdict, "cannot be read" in found.sentence) == (Verdict.FAIL, True)


# -- registries and packages


def test_no_registry(host: MakeHost) -> None:
    assert only(credentials.check_registry(host())).verdict is Verdict.NOT_APPLICABLE


def test_a_registry_that_answers(host: MakeHost) -> None:
    with serving(RegistryStub(Answer(404))) as registry:
        made = host(registry=RegistryConfig("plain", f"{registry.name}/team/images"))
        found = only(credentials.check_registry(made))
    assert (found.verdict, "answers without credentials" in found.sentence) == (Verdict.OK, True), found


def test_a_registry_that_asks_for_credentials(host: MakeHost) -> None:
    with serving(RegistryStub(Answer(404), password="secret")) as registry:
        made = host(registry=RegistryConfig("plain", f"{registry.name}/team/images"))
        found = only(credentials.check_registry(made))
    assert (found.verdict, "asks for a user and a password" in found.sentence) == (Verdict.FAIL, True), found


def test_a_cloud_without_credentials(host: MakeHost, tmp_path: Path) -> None:
    assert only(credentials.check_cloud(host())).verdict is Verdict.NOT_APPLICABLE
    made = host(environment=EnvironmentConfig("aws", "eu-west-1"))
    bare = {name: value for name, value in made.environ.items() if not name.startswith("AWS_")}
    off = {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)}
    found = only(credentials.check_cloud(replace(made, environ=bare | off)))
    assert (found.verdict, "credentials" in found.sentence) == (Verdict.FAIL, True), found


def test_a_cloud_of_jobs_alone_is_asked_too(host: MakeHost, tmp_path: Path) -> None:
    made = host(policy={"resources": ("vertex",)})
    bare = {name: value for name, value in made.environ.items() if not name.startswith("GOOGLE_")}
    key = {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "missing.json")}
    found = only(credentials.check_cloud(replace(made, environ=bare | key)))
    assert (found.verdict, "missing.json was not found" in found.sentence) == (Verdict.FAIL, True)


def test_packages_of_the_builder_are_looked_for(host: MakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "missing_packages", lambda extra: ["kubernetes"] if extra == "kubernetes" else [])
    made = host(policy={"resources": ("local-container",)}, builder=BuilderConfig(type="kaniko"))
    failed = [one for one in credentials.check_extras(made) if one.verdict is Verdict.FAIL]
    assert [one.sentence for one in failed] == ["kaniko needs packages that are not installed: kubernetes."]


def test_a_cluster_that_grants_too_little(host: MakeHost, tmp_path: Path) -> None:
    assert only(credentials.check_cluster(host())).verdict is Verdict.NOT_APPLICABLE
    with fake_kubernetes() as cluster:
        settings = {"kubernetes": KubernetesConfig(config_file=str(cluster.write_config(tmp_path / "kubeconfig")))}
        made = host(policy={"resources": ("kubernetes",)}, settings=settings)
        granted = only(credentials.check_cluster(made))
        cluster.denied = {("watch", "jobs")}
        denied = only(credentials.check_cluster(made))
    assert (granted.verdict, denied.verdict) == (Verdict.OK, Verdict.FAIL)
    assert "watch jobs" in denied.sentence


def test_a_cluster_that_refuses_this_host_or_has_no_such_namespace(host: MakeHost, tmp_path: Path) -> None:
    with fake_kubernetes() as cluster:
        config = KubernetesConfig(config_file=str(cluster.write_config(tmp_path / "kubeconfig")), namespace="trainng")
        made = host(policy={"resources": ("kubernetes",)}, settings={"kubernetes": config})
        cluster.absent_namespaces = {"trainng"}
        absent = only(credentials.check_cluster(made))
        cluster.absent_namespaces = set()
        # An agent with the least rights may not ask for its namespace.
        cluster.fail(Fault("GET", "/api/v1/namespaces/trainng", 403))
        untold = only(credentials.check_cluster(made))
        cluster.fail(Fault("GET", "/", 401, message="Unauthorized"))
        expired = only(credentials.check_cluster(made))
    assert (absent.verdict, absent.sentence) == (Verdict.FAIL, "The cluster has no namespace trainng.")
    assert "launchd.kubernetes.namespace" in absent.fix
    assert untold.verdict is Verdict.OK
    assert (expired.verdict, "does not accept the credentials" in expired.sentence) == (Verdict.FAIL, True)
    assert "renews the token" in expired.fix


def test_a_cluster_for_builds_alone_is_asked_for_the_namespace_of_builds(host: MakeHost, tmp_path: Path) -> None:
    with fake_kubernetes() as cluster:
        file, builds = str(cluster.write_config(tmp_path / "kubeconfig")), PodBuildsConfig(namespace="builds")
        made = host(
            policy={"resources": ("local-container",)},
            builder=BuilderConfig(type="buildah-pod"),
            settings={"kubernetes": KubernetesConfig(config_file=file, builds=builds)},
        )
        there = only(credentials.check_cluster(made))
        cluster.absent_namespaces = {"builds"}
        absent = only(credentials.check_cluster(made))
    assert (there.verdict, "what builds need in builds" in there.sentence) == (Verdict.OK, True)
    assert (absent.verdict, absent.sentence) == (Verdict.FAIL, "The cluster has no namespace builds.")


def test_packages_of_extras(host: MakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    assert only(credentials.check_extras(host())).verdict is Verdict.NOT_APPLICABLE
    assert missing_packages("aws") == []
    version = metadata.version

    def without_boto3(name: str) -> str:
        if name == "boto3":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", without_boto3)
    assert missing_packages("aws") == ["boto3"]
    found = only(credentials.check_extras(host(environment=EnvironmentConfig("aws", "eu-west-1"))))
    assert (found.verdict, "boto3" in found.sentence) == (Verdict.FAIL, True)
