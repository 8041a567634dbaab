"""Jobs on a stand-in for a cluster that answers on a socket: faults of its API, and what one node cannot show."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ipc.errors import InvalidSpec, PolicyRefused, RunnerUnavailable, SubmitError
from ipc.policy_rules import KubernetesRules
from ipc.settings import KubernetesConfig
from ipc.states import JobState
from tests.contract.runners.support import NAME, Job, wait_for_end
from tests.support.cluster_rights import granted_kubernetes
from tests.support.fake_kubernetes import FakeKubernetes, Fault
from tests.support.pods import BAD_END, TAKEN, fail_job, make_pod, take_pod
from tests.support.waiting import wait_until
from workers.runners import Runner

JobMaker = Callable[..., Job]


@pytest.fixture
def cluster() -> Iterator[FakeKubernetes]:
    with granted_kubernetes() as running:
        yield running


@pytest.fixture
def make_job(tmp_path: Path, cluster: FakeKubernetes) -> JobMaker:
    """Jobs of a shell script, with a manifest."""
    config = cluster.write_config(tmp_path / "kubeconfig")

    def make(script: str = "true", rules: KubernetesRules | None = None, **manifest: Any) -> Job:
        return Job(
            tmp_path / "state" / "jobs" / NAME,
            resource="kubernetes",
            command=("sh", "-c", script),
            image="registry.example/train:1",
            knobs=manifest,
            kubernetes=KubernetesConfig(config_file=str(config)),
            cluster_rules=rules or KubernetesRules(),
        )

    return make


def submitted_with_key(job: Job) -> Runner:
    runner = job.runner()
    runner.validate()
    launch = job.launch
    launch.environment["WANDB_API_KEY"] = "key1"
    runner.submit(launch)
    return runner


def creations(cluster: FakeKubernetes, plural: str) -> list[int]:
    return [times for name, times in cluster.created.items() if name.startswith(f"{plural}/")]


def test_the_key_is_a_secret_of_the_job_and_in_no_manifest(make_job: JobMaker, cluster: FakeKubernetes) -> None:
    runner = submitted_with_key(make_job('test -n "$WANDB_API_KEY"'))
    handle = runner.find(NAME)
    assert handle is not None

    assert wait_for_end(runner, handle).state is JobState.FINISHED

    (secret,) = cluster.objects("secrets")
    assert [owner["uid"] for owner in secret["metadata"]["ownerReferences"]] == [handle.data["uid"]]
    assert "key1" not in str(cluster.objects("jobs"))
    runner.delete(handle)
    assert (cluster.objects("secrets"), cluster.objects("jobs")) == ([], [])


def test_a_busy_api_is_asked_again_when_it_says(make_job: JobMaker, cluster: FakeKubernetes) -> None:
    cluster.fail(Fault("POST", "/jobs", 429, times=2, headers={"Retry-After": "0.1"}))

    assert make_job().run().state is JobState.FINISHED

    assert creations(cluster, "jobs") == [1]


def test_an_api_that_is_away_says_nothing_of_the_job(make_job: JobMaker, cluster: FakeKubernetes) -> None:
    runner, handle = make_job("exit 3").submit()
    cluster.fail(Fault("GET", "/", 0, times=3), Fault("GET", "/", 503, times=1))

    for _ in range(4):
        with pytest.raises(RunnerUnavailable):
            runner.inspect(handle)

    assert wait_for_end(runner, handle).state is JobState.FAILED


@pytest.mark.parametrize("plural", ["secrets", "jobs"])
def test_an_answer_that_is_lost_creates_nothing_twice(plural: str, make_job: JobMaker, cluster: FakeKubernetes) -> None:
    job = make_job("true")
    cluster.fail(Fault("POST", f"/{plural}", 0, after=True))

    with pytest.raises(RunnerUnavailable):
        submitted_with_key(job)
    submitted_with_key(job)

    assert creations(cluster, "jobs") == [1]
    assert creations(cluster, "secrets") == [1]


@pytest.mark.parametrize(
    ("status", "sentence", "hint"),
    [
        (401, "does not accept the credentials of this host", "renews the token or the certificate"),
        (403, "refused to answer: the tests asked for it", "grants the agent this right in the namespace"),
    ],
)
def test_what_the_cluster_refuses_the_agent_says_nothing_of_the_job(
    make_job: JobMaker, cluster: FakeKubernetes, status: int, sentence: str, hint: str
) -> None:
    runner, handle = make_job().submit()
    cluster.fail(Fault("GET", "/jobs", status))

    with pytest.raises(RunnerUnavailable, match=sentence) as error:
        runner.inspect(handle)
    assert hint in (error.value.hint or "")
    assert wait_for_end(runner, handle).state is JobState.FINISHED


def test_a_namespace_that_is_not_there_is_named_with_what_to_do(make_job: JobMaker, cluster: FakeKubernetes) -> None:
    cluster.fail(Fault("POST", "/namespaces/trainng/", 404, times=9, message='namespaces "trainng" not found'))

    with pytest.raises(SubmitError, match='namespaces "trainng" not found') as error:
        make_job(namespace="trainng").submit()
    assert "launchd.kubernetes.namespace" in (error.value.hint or "")


def test_a_manifest_that_is_too_large_says_what_to_do(make_job: JobMaker, cluster: FakeKubernetes) -> None:
    cluster.fail(Fault("POST", "/jobs", 413, message="Request entity too large: limit is 3145728"))

    with pytest.raises(SubmitError, match="limit is 3145728") as error:
        make_job().submit()
    assert "from a volume or a store" in (error.value.hint or "")


def test_a_suspended_job_starts_once_it_is_admitted(make_job: JobMaker, cluster: FakeKubernetes) -> None:
    runner, handle = make_job(spec={"suspend": True}).submit()

    status = runner.inspect(handle)
    assert (status.state, "suspended" in (status.message or "")) == (JobState.STARTING, True)

    cluster.change("jobs", str(handle.data["object"]), lambda job: job["spec"].update(suspend=False))
    cluster.run_job(cluster.objects("jobs")[0])
    assert wait_for_end(runner, handle).state is JobState.FINISHED


def test_a_job_that_kueue_stops_for_another_waits_and_runs_again(make_job: JobMaker, cluster: FakeKubernetes) -> None:
    cluster.runs_pods = False
    runner, handle = make_job(spec={"suspend": True}).submit()
    name = str(handle.data["object"])
    assert runner.inspect(handle).state is JobState.STARTING

    cluster.change("jobs", name, lambda job: job["spec"].update(suspend=False))
    make_pod(cluster, name, "first")
    assert runner.inspect(handle).state is JobState.RUNNING

    # Its Job is suspended, and its pods are deleted.
    cluster.change("jobs", name, lambda job: job["spec"].update(suspend=True))
    cluster.remove("pods", "first")
    stopped = runner.inspect(handle)
    assert (stopped.state, "suspended" in (stopped.message or "")) == (JobState.RUNNING, True)
    # Nor has it to start in time once more for a worker that takes it over.
    assert make_job(spec={"suspend": True}).runner().inspect(handle).state is JobState.RUNNING

    cluster.change("jobs", name, lambda job: job["spec"].update(suspend=False))
    cluster.run_job(cluster.objects("jobs")[0])
    assert wait_for_end(runner, handle).state is JobState.FINISHED


@pytest.mark.parametrize("is_adopted", [False, True])
def test_a_pod_that_is_gone_before_its_job_fails_was_taken_away(
    make_job: JobMaker, cluster: FakeKubernetes, *, is_adopted: bool
) -> None:
    """Since Kubernetes 1.31 a Job fails once its pods are gone; what was seen of them is remembered, also on disk."""
    cluster.runs_pods = False
    runner, handle = make_job().submit()
    name = str(handle.data["object"])
    make_pod(cluster, name, "first")
    take_pod(cluster, "first")

    seen = runner.inspect(handle)
    assert (seen.state, "takes its pod away: a larger one" in (seen.message or "")) == (JobState.RUNNING, True)

    cluster.remove("pods", "first")
    assert runner.inspect(handle).state is JobState.RUNNING
    fail_job(cluster, name)
    status = (make_job().runner() if is_adopted else runner).inspect(handle)

    assert (status.state, "a larger one" in (status.message or "")) == (JobState.PREEMPTED, True)


def test_a_node_that_goes_is_told_and_the_job_goes_on_at_another(make_job: JobMaker, cluster: FakeKubernetes) -> None:
    """As a cluster of several nodes does it: the node is silent, its pod is taken away, another node has the next."""
    cluster.runs_pods = False
    runner, handle = make_job(spec={"backoffLimit": 1}).submit()
    name = str(handle.data["object"])
    make_pod(cluster, name, "first", node="one", created="2026-01-01T00:00:00Z")
    assert runner.inspect(handle).state is JobState.RUNNING

    lost = {"reason": "NodeLost", "message": "Node one which was running pod first is unresponsive"}
    cluster.change("pods", "first", lambda pod: pod["status"].update(lost))
    silent = runner.inspect(handle)
    assert (silent.state, "Node one which" in (silent.message or "")) == (JobState.RUNNING, True)

    gone = {"reason": "DeletionByTaintManager", "message": "deleting due to NoExecute taint"}
    take_pod(cluster, "first", lastTransitionTime="2026-01-01T00:05:00Z", **gone)
    assert runner.inspect(handle).state is JobState.RUNNING
    cluster.remove("pods", "first")
    waiting = runner.inspect(handle)
    assert (waiting.state, "NoExecute" in (waiting.message or "")) == (JobState.RUNNING, True)

    make_pod(cluster, name, "second", node="two", created="2026-01-01T00:05:02Z")
    going_on = runner.inspect(handle)
    assert (going_on.state, going_on.message) == (JobState.RUNNING, None)
    # What it fails with is its own, and not that of the node before.
    cluster.change("pods", "second", lambda pod: pod.update(status=BAD_END))
    cluster.remove("pods", "second")
    fail_job(cluster, name)
    assert runner.inspect(handle).state is JobState.FAILED


def test_a_pod_that_the_cluster_takes_away_is_a_preemption(make_job: JobMaker, cluster: FakeKubernetes) -> None:
    cluster.runs_pods = False
    runner, handle = make_job().submit()
    cluster.run_job(cluster.objects("jobs")[0])
    wait_until(lambda: bool(cluster.objects("pods")), 10, "there is a pod")

    def take(pod: dict[str, Any]) -> None:
        pod["status"] = {"phase": "Failed", "conditions": [TAKEN]}

    wait_for_end(runner, handle)
    (pod,) = cluster.objects("pods")
    (tmp := Path(make_job().directory, "kubernetes.json")).unlink()
    cluster.change("pods", pod["metadata"]["name"], take)
    fail_job(cluster, str(handle.data["object"]))

    status = make_job().runner().inspect(handle)

    assert (status.state, tmp.exists()) == (JobState.PREEMPTED, True)
    assert "a larger one" in (status.message or "")


VOLCANO = {
    "apiVersion": "batch.volcano.sh/v1alpha1",
    "kind": "Job",
    "spec": {"tasks": [{"template": {"spec": {"containers": [{"name": "a", "image": "${image_uri}"}]}}}]},
}


def test_a_custom_resource_is_found_by_discovery_and_judged_by_its_phase(
    make_job: JobMaker, cluster: FakeKubernetes
) -> None:
    cluster.kinds["batch.volcano.sh/v1alpha1"] = [("Job", "jobs/status"), ("Job", "vcjobs")]
    runner, handle = make_job(**VOLCANO).submit()
    (created,) = cluster.objects("vcjobs")
    (container,) = created["spec"]["tasks"][0]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example/train:1"

    def be(phase: str) -> None:
        cluster.change("vcjobs", str(handle.data["object"]), lambda one: one.update(status={"state": {"phase": phase}}))

    seen = []
    for phase in ("Pending", "Running", "Completed"):
        be(phase)
        seen.append(runner.inspect(handle).state)

    assert seen == [JobState.STARTING, JobState.RUNNING, JobState.FINISHED]


def test_a_kind_that_is_removed_takes_its_jobs_along(make_job: JobMaker, cluster: FakeKubernetes) -> None:
    cluster.kinds["batch.volcano.sh/v1alpha1"] = [("Job", "vcjobs")]
    runner, handle = make_job(**VOLCANO).submit()
    del cluster.kinds["batch.volcano.sh/v1alpha1"]
    cluster.remove("vcjobs", str(handle.data["object"]))

    status = runner.inspect(handle)

    assert (status.state, "deleted from the cluster" in (status.message or "")) == (JobState.FAILED, True)
    assert make_job(**VOLCANO).runner().find(NAME) == handle
    runner.delete(handle)


def test_a_namespace_that_is_deleted_takes_its_jobs_along(make_job: JobMaker, cluster: FakeKubernetes) -> None:
    runner, handle = make_job("sleep 60").submit()
    wait_until(lambda: runner.inspect(handle).state is JobState.RUNNING, 10, "the job runs")
    cluster.remove("jobs", str(handle.data["object"]))
    message = (
        "jobs.batch is forbidden: unable to create new content in namespace default because it is being terminated"
    )
    cluster.fail(Fault("POST", "/", 403, times=9, message=message))

    assert wait_for_end(runner, handle).state is JobState.FAILED
    (Path(make_job().directory) / "kubernetes.json").unlink()
    with pytest.raises(SubmitError, match="because it is being terminated") as error:
        make_job().submit()
    assert "administrator grants the agent this right" in (error.value.hint or "")


def test_a_kind_that_the_cluster_does_not_have_is_refused(make_job: JobMaker) -> None:
    with pytest.raises(InvalidSpec, match="no kind Job of"):
        make_job(**VOLCANO).submit()


@pytest.mark.parametrize(
    ("manifest", "sentence"),
    [
        ({"spec": []}, "spec in resource_args.kubernetes must be an object"),
        ({"spec": {"template": {"spec": {"containers": {}}}}}, "containers .* must be a list of objects"),
        ({"apiVersion": "kubeflow.org/v1"}, "and no kind"),
        ({"apiVersion": ["batch/v1"]}, "apiVersion in resource_args.kubernetes must be text"),
        (
            {"spec": {"template": {"spec": {"containers": [{}], "initContainers": 5}}}},
            "initContainers .* list of objects",
        ),
        ({"spec": {"template": {"spec": {"initContainers": ["i"]}}}}, "initContainers .* must be a list of objects"),
        ({"spec": {"template": {"spec": {"containers": [{"env": {"A": "b"}}]}}}}, "env .* must be a list"),
        (
            {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "spec": {"x": {"containers": [None]}}},
            "containers .* must be a list of objects",
        ),
        ({"namespace": "training："}, "No namespace can be called 'training：'"),
        ({"metadata": {"namespace": "a/../kube-system"}}, "No namespace can be called 'a/../kube-system'"),
        ({"namespace": ["training"]}, "namespace in resource_args.kubernetes must be text"),
    ],
)
def test_what_has_a_wrong_form_is_told_before_anything_is_built(
    manifest: Any, sentence: str, make_job: JobMaker
) -> None:
    with pytest.raises(InvalidSpec, match=sentence):
        make_job(**manifest).runner().validate()


def test_what_is_null_says_nothing(make_job: JobMaker, cluster: FakeKubernetes) -> None:
    pod = {"containers": None, "initContainers": None, "volumes": None}
    nothing = {"apiVersion": None, "kind": None, "metadata": None, "namespace": None, "configFile": None, "context": ""}

    make_job(spec={"template": {"metadata": None, "spec": pod}}, **nothing).submit()

    (job,) = cluster.objects("jobs")
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")


@pytest.mark.parametrize(
    ("manifest", "sentence"),
    [
        ({"kind": "Pod"}, "write kind: Job, or the apiVersion"),
        ({"spec": {"template": {"spec": {"hostNetwork": True}}}}, "hostNetwork"),
        ({"spec": {"template": {"spec": {"serviceAccountName": "admin"}}}}, "service account admin"),
        ({"spec": {"template": {"spec": {"volumes": [{"hostPath": {"path": "/etc"}}]}}}}, "path /etc of the nodes"),
        ({"spec": {"template": {"spec": {"containers": [{"securityContext": {}}]}}}}, "securityContext"),
        ({"configFile": "/root/.kube/config"}, "configFile"),
        ({"spec": {"template": {"spec": {"volumes": [{"image": {"reference": "other/x"}}]}}}}, "The image other/x"),
        (
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding"},
            "kind rbac.authorization.k8s.io/RoleBinding",
        ),
        ({"namespace": "kube-system"}, "namespace kube-system"),
    ],
)
def test_what_is_not_granted_is_refused_with_its_name(manifest: Any, sentence: str, make_job: JobMaker) -> None:
    with pytest.raises(PolicyRefused, match=sentence):
        make_job(rules=KubernetesRules(namespaces=("default",), images=("registry.example/*",)), **manifest).submit()
