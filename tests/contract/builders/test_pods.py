"""Builds in pods, without an agent around them: a stand-in for the cluster, a real registry, a program for kaniko."""

import base64
import json
import os
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ipc.errors import BuildError, HostError, JobCancelled
from ipc.settings import (
    BuilderConfig,
    EnvironmentConfig,
    KubernetesConfig,
    PodBuildsConfig,
    RegistryAccess,
    RegistryConfig,
)
from tests.support.aws import REGION, FakeAws
from tests.support.cluster_rights import granted, needed
from tests.support.fake_kubernetes import FakeKubernetes, Fault
from tests.support.job_contexts import Heard, heard, make_context
from tests.support.pod_builds import assert_nothing_is_left, builds, cluster, kaniko_shape, registry
from tests.support.pods import fail_job, take_pod, tell
from tests.support.registries import PASSWORD, USER, TestRegistry
from tests.support.waiting import wait_until
from workers.builders.pods import BuildahPodBuilder, KanikoBuilder
from workers.context import DetachRequested, DetachSignal, JobContext, StopSignal
from workers.kubernetes.rights import BUILD_RIGHTS
from workers.pod_builds import build as pod_build
from workers.pod_builds.records import ABANDONED_SECONDS, BuildRecords
from workers.sources import Project

__all__ = ["cluster", "heard", "make_context", "registry"]

Builds = Callable[..., JobContext]


@pytest.fixture
def make_build(
    make_context: Callable[..., JobContext],
    cluster: FakeKubernetes,
    registry: TestRegistry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Builds:
    """Contexts of jobs whose image a pod builds; ``mode`` is that of the program that plays kaniko."""
    monkeypatch.setattr(pod_build, "LOOK_SECONDS", 0.1)

    def make(mode: str, name: str = "launchd-0123456789abcdef-1", **changes: Any) -> JobContext:
        builder = {"type": "kaniko", "kaniko_config": kaniko_shape(tmp_path, mode), **changes.pop("builder", {})}
        builds = PodBuildsConfig(**changes.pop("builds", {}))
        config = tmp_path / "kubeconfig"
        settings = KubernetesConfig(str(cluster.write_config(config)), namespace="builds", builds=builds)
        repository = f"{registry.name}/team/{tmp_path.name}"
        order = {
            "builder_config": BuilderConfig(**builder),
            "kubernetes": settings,
            "registry": RegistryConfig("plain", repository),
        }
        return make_context(name, **order | changes)

    return make


def build(context: JobContext, builder: Any = None, text: str = "print()") -> str:
    (context.work / "main.py").write_text(text)
    made = (builder or KanikoBuilder()).build(Project(context.work, entry_point=("python", "main.py")), context)
    return str(made.image)


def assert_all_is_gone(cluster: FakeKubernetes, tmp_path: Path) -> None:
    assert_nothing_is_left(cluster, tmp_path / "images", "builds")


def test_an_image_is_built_once_and_its_progress_and_log_are_kept(
    make_build: Builds, cluster: FakeKubernetes, heard: Heard, tmp_path: Path
) -> None:
    context = make_build("push")

    image = build(context)

    assert build(make_build("push", "launchd-0123456789abcdef-2")) == image
    assert builds(tmp_path) == [f"{image} tar:///context/{_only_build(cluster)}.tgz"]
    assert "INFO pushed" in (context.directory / "build.log").read_text()
    assert "handing the files of the image over to the cluster" in heard.progress()
    assert needed(cluster.asked) <= granted(BUILD_RIGHTS)
    assert_all_is_gone(cluster, tmp_path)


def _only_build(cluster: FakeKubernetes) -> str:
    (name,) = [key.removeprefix("jobs/") for key in cluster.created if key.startswith("jobs/")]
    assert cluster.created[f"jobs/{name}"] == 1
    return name


@pytest.mark.parametrize(
    ("mode", "limits", "said"),
    [
        (
            "fail",
            {},
            "kaniko: it ended with the exit code 3. It said: the step pip install failed",
        ),
        (
            "hang",
            {"no_progress_seconds": 1},
            "showed no progress for 1 s, and was ended: the container wandb-container",
        ),
        ("hang", {"timeout_seconds": 2}, "took longer than 2 s"),
        ("forget", {}, "its registry does not have it"),
    ],
)
def test_a_build_that_does_not_end_well_is_a_sentence_and_leaves_nothing(
    make_build: Builds, cluster: FakeKubernetes, tmp_path: Path, mode: str, limits: dict[str, Any], said: str
) -> None:
    with pytest.raises(BuildError) as failed:
        build(make_build(mode, builds=limits))

    assert said.partition(":")[0] in failed.value.message
    assert said.rpartition(": ")[2] in failed.value.message
    assert_all_is_gone(cluster, tmp_path)


def test_a_pod_that_cannot_start_says_for_what_it_waits(
    make_build: Builds, cluster: FakeKubernetes, heard: Heard, tmp_path: Path
) -> None:
    cluster.runs_pods = False

    with pytest.raises(BuildError, match=r"showed no progress for 0\.5 s, and was ended: it has no pod yet"):
        build(make_build("push", builds={"no_progress_seconds": 0.5}))

    assert "building the image: it has no pod yet" in heard.progress()
    assert_all_is_gone(cluster, tmp_path)


def test_a_build_that_waits_says_why_in_the_words_of_the_last_event(
    make_build: Builds, cluster: FakeKubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pod_build, "REASON_SECONDS", 0.2)
    cluster.runs_pods = False

    def act() -> None:
        (job,) = wait_until(lambda: cluster.objects("jobs", "builds"), 20, "the build is there")
        tell(cluster, job, "exceeded quota", namespace="builds", reason="FailedCreate")

    thread = threading.Thread(target=act)
    thread.start()
    with pytest.raises(BuildError, match="was ended: it has no pod yet: exceeded quota"):
        build(make_build("push", builds={"no_progress_seconds": 1.0}))
    thread.join()


@pytest.fixture
def without_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process of a pod that is taken away here lives on, and so does its log."""
    monkeypatch.setattr(pod_build, "OUTPUT_END_SECONDS", 0.2)


def take_away(cluster: FakeKubernetes, *, job_fails_first: bool) -> None:
    """Take the pod of a build away as a cluster does; since Kubernetes 1.31 a Job fails after its pods are gone."""
    (pod,) = wait_until(lambda: running(cluster), 20, "the build runs")
    (job,) = cluster.objects("jobs", "builds")
    name, looks = pod["metadata"]["name"], cluster.requests["request"]
    take_pod(cluster, name, "builds")
    wait_until(lambda: cluster.requests["request"] > looks + 4, 20, "the build was looked at")
    if not job_fails_first:
        cluster.remove("pods", name, "builds")
    fail_job(cluster, job["metadata"]["name"], "builds")


def running(cluster: FakeKubernetes) -> list[dict[str, Any]]:
    pods = cluster.objects("pods", "builds")
    return [pod for pod in pods if pod["status"]["phase"] == "Running" and "conditions" not in pod["status"]]


@pytest.mark.usefixtures("without_last_words")
@pytest.mark.parametrize("job_fails_first", [True, False])
def test_a_build_whose_pod_is_taken_away_is_begun_anew(
    make_build: Builds, cluster: FakeKubernetes, heard: Heard, tmp_path: Path, *, job_fails_first: bool
) -> None:
    thread = threading.Thread(target=take_away, args=(cluster,), kwargs={"job_fails_first": job_fails_first})
    thread.start()

    image = build(make_build("hang-once"))
    thread.join()

    assert [one.partition(" ")[0] for one in builds(tmp_path)] == [image, image]
    (warning,) = (one for one in heard.warnings() if "begun anew" in one)
    assert "took the job's pod away: a larger one. It was building the image" in warning
    assert_all_is_gone(cluster, tmp_path)


@pytest.mark.usefixtures("without_last_words")
def test_a_build_that_is_taken_away_again_and_again_fails_and_says_so(
    make_build: Builds, cluster: FakeKubernetes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pod_build, "MOST_BEGINNINGS", 2)

    def act() -> None:
        take_away(cluster, job_fails_first=True)
        wait_until(lambda: not running(cluster), 20, "the first build is gone")
        take_away(cluster, job_fails_first=True)

    thread = threading.Thread(target=act)
    thread.start()
    with pytest.raises(BuildError, match=r"was begun 2 times\. The cluster took the job's pod away: a larger one\.$"):
        build(make_build("hang"))
    thread.join()

    assert len(builds(tmp_path)) == 2
    assert_all_is_gone(cluster, tmp_path)


def test_an_api_that_answers_with_errors_costs_no_build(
    make_build: Builds, cluster: FakeKubernetes, tmp_path: Path
) -> None:
    cluster.fail(Fault("POST", "/secrets", 503), Fault("POST", "/jobs", 0, after=True), Fault("GET", "/pods", 500))

    build(make_build("push"))

    assert len(builds(tmp_path)) == 1
    assert_all_is_gone(cluster, tmp_path)


def test_what_the_cluster_remarks_is_a_warning(make_build: Builds, cluster: FakeKubernetes, heard: Heard) -> None:
    cluster.remarks = ['unknown field "spec.ttl"']

    build(make_build("push"))

    said = 'Kubernetes took the build of the image, and remarked: unknown field "spec.ttl".'
    assert [one for one in heard.warnings() if "remarked" in one] == [said]


def test_what_the_cluster_refuses_is_a_sentence(make_build: Builds, cluster: FakeKubernetes, tmp_path: Path) -> None:
    cluster.fail(Fault("POST", "/jobs", 403, times=9))

    with pytest.raises(BuildError, match="Kubernetes refused the build of the image"):
        build(make_build("push"))

    assert_all_is_gone(cluster, tmp_path)


def test_a_stop_ends_the_build_and_a_worker_that_leaves_does_not(
    make_build: Builds, cluster: FakeKubernetes, tmp_path: Path
) -> None:
    leaving = make_build("slow")
    interrupted = _interrupt_once_it_runs(leaving, cluster, DetachSignal(0))  # type: ignore[arg-type]
    with pytest.raises(DetachRequested):
        build(leaving, text="print(2)")
    interrupted.join()
    assert len(cluster.objects("jobs", "builds")) == 1

    build(make_build("slow", "launchd-0123456789abcdef-2"), text="print(2)")
    assert len(builds(tmp_path)) == 1

    stopped = make_build("hang", "launchd-0123456789abcdef-3")
    interrupted = _interrupt_once_it_runs(stopped, cluster, StopSignal("by the test", 1.0))
    with pytest.raises(JobCancelled):
        build(stopped, text="print(3)")
    interrupted.join()
    assert_all_is_gone(cluster, tmp_path)


def _interrupt_once_it_runs(context: JobContext, cluster: FakeKubernetes, signal: Any) -> threading.Thread:
    def interrupt() -> None:
        wait_until(lambda: cluster.objects("pods", "builds"), 20, "the build has a pod")
        context.interrupt(signal)

    thread = threading.Thread(target=interrupt)
    thread.start()
    return thread


def test_what_a_dead_worker_left_is_removed_by_another_build(
    make_build: Builds, cluster: FakeKubernetes, tmp_path: Path
) -> None:
    left = make_build("hang")
    thread = _interrupt_once_it_runs(left, cluster, DetachSignal(0))  # type: ignore[arg-type]
    with pytest.raises(DetachRequested):
        build(left, text="print(4)")
    thread.join()
    (name,) = list((tmp_path / "images" / "pod-builds").glob("*.json"))

    build(make_build("push", "launchd-0123456789abcdef-2"), text="print(5)")
    assert name.exists(), "it may be taken up yet"
    old = time.time() - ABANDONED_SECONDS - 1
    os.utime(name, (old, old))
    assert BuildRecords(left).abandoned() == [name.stem]
    build(make_build("push", "launchd-0123456789abcdef-3"), text="print(6)")

    assert_all_is_gone(cluster, tmp_path)


def test_credentials_are_secrets_of_the_build_alone(
    make_build: Builds, cluster: FakeKubernetes, registry: TestRegistry, tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    password.chmod(0o600)
    context = make_build("slow", registry_access=RegistryAccess(username=USER, password_file=str(password)))
    seen: list[dict[str, Any]] = []
    watcher = threading.Thread(target=lambda: seen.extend(_secrets_with_owners(cluster)))
    watcher.start()

    build(context, text="print(7)")
    watcher.join()

    (push,) = [one for one in seen if one["metadata"]["name"].endswith("-push")]
    config = json.loads(base64.b64decode(push["data"][".dockerconfigjson"]))
    assert base64.b64decode(config["auths"][registry.name]["auth"]).decode() == f"{USER}:{PASSWORD}"
    assert {one["metadata"]["ownerReferences"][0]["name"] for one in seen} == {_only_build(cluster)}
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and path != password]
    assert [path for path in kept if push["data"][".dockerconfigjson"].encode() in path.read_bytes()] == []
    assert_all_is_gone(cluster, tmp_path)


def _secrets_with_owners(cluster: FakeKubernetes) -> list[dict[str, Any]]:
    def owned() -> list[dict[str, Any]]:
        found = cluster.objects("secrets", "builds")
        return found if found and all("ownerReferences" in one["metadata"] for one in found) else []

    return wait_until(owned, 20, "the Secrets belong to the Job")


def test_files_go_through_a_claim_and_are_removed_from_it(
    make_build: Builds, cluster: FakeKubernetes, tmp_path: Path
) -> None:
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    context = make_build("slow", builds={"claim": "contexts", "claim_directory": str(mounted)})
    names: list[str] = []
    watcher = threading.Thread(target=lambda: names.extend(wait_until(lambda: _members(mounted), 20)))
    watcher.start()

    build(context, text=os.urandom(1 << 20).hex())
    watcher.join()

    assert {"./Dockerfile.wandb", "./src/main.py"} <= set(names)
    assert builds(tmp_path)[0].endswith(f"tar:///context/{_only_build(cluster)}.tgz")
    assert list(mounted.iterdir()) == []
    assert_all_is_gone(cluster, tmp_path)


def test_files_go_through_a_store_and_are_removed_from_it(
    make_build: Builds, cluster: FakeKubernetes, aws: FakeAws, tmp_path: Path
) -> None:
    import boto3

    # The fixture of AWS has set the variables of the SDK.
    assert aws.url
    store = boto3.client("s3")
    store.create_bucket(Bucket="contexts")
    context = make_build(
        "slow",
        builder={"build_context_store": "s3://contexts/of/team"},
        environment=EnvironmentConfig("aws", REGION),
    )
    keys: list[str] = []
    watcher = threading.Thread(target=lambda: keys.extend(wait_until(lambda: _keys(store), 20)))
    watcher.start()

    build(context, text=os.urandom(1 << 20).hex())
    watcher.join()

    assert keys == [f"of/team/{_only_build(cluster)}.tgz"]
    assert builds(tmp_path)[0].endswith(f" s3://contexts/{keys[0]}")
    assert _keys(store) == []
    assert_all_is_gone(cluster, tmp_path)
    store.close()


def _keys(store: Any) -> list[str]:
    return [str(one["Key"]) for one in store.list_objects_v2(Bucket="contexts").get("Contents", ())]


def _members(mounted: Path) -> list[str]:
    for path in mounted.glob("[!.]*.tgz"):
        with tarfile.open(path) as archive:
            return archive.getnames()
    return []


def test_files_that_are_too_many_for_secrets_say_so(make_build: Builds, tmp_path: Path) -> None:
    with pytest.raises(HostError, match="too many to reach a pod by Secrets"):
        build(make_build("push"), text=os.urandom(1 << 20).hex())

    assert builds(tmp_path) == []


def test_without_a_registry_nothing_is_built(make_build: Builds) -> None:
    with pytest.raises(HostError, match="this agent has none"):
        build(make_build("push", registry=None))


@pytest.mark.parametrize("builder", [KanikoBuilder(), BuildahPodBuilder()])
@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"metadata": "kaniko"}, "metadata in builder.kaniko-config must be a mapping"),
        ({"metadata": {"labels": ["a"]}}, "labels in builder.kaniko-config must be a mapping"),
        ({"spec": []}, "spec in builder.kaniko-config must be a mapping"),
        ({"spec": {"template": {"spec": {"containers": {"image": "x"}}}}}, "containers .* must be a list of mappings"),
        ({"spec": {"template": {"spec": {"initContainers": 5}}}}, "initContainers .* must be a list of mappings"),
        ({"spec": {"template": {"spec": {"containers": [{"env": {"A": "b"}}]}}}}, "env .* must be a list of mappings"),
    ],
)
def test_a_configuration_of_a_wrong_form_is_told(
    make_build: Builds, cluster: FakeKubernetes, tmp_path: Path, builder: Any, config: Any, sentence: str
) -> None:
    with pytest.raises(HostError, match=sentence):
        build(make_build("push", builder={"kaniko_config": config}), builder)

    assert_all_is_gone(cluster, tmp_path)


def test_buildah_takes_no_store_of_a_cloud(make_build: Builds) -> None:
    context = make_build("push", builder={"type": "buildah-pod", "build_context_store": "s3://contexts"})

    with pytest.raises(HostError, match="fetches no files from s3://contexts"):
        build(context, BuildahPodBuilder())
