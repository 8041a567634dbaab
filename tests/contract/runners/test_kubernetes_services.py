"""Objects beside a job in a cluster (`additional_services`): there before it begins, and gone with it."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ipc.errors import InvalidSpec, JobCancelled, JobError, PolicyRefused, SubmitError
from ipc.policy_rules import PolicyRules
from ipc.settings import KubernetesConfig
from ipc.states import JobState
from tests.contract.runners.support import NAME, Job, wait_for_end
from tests.support.cluster_rights import granted_kubernetes
from tests.support.fake_kubernetes import FakeKubernetes, Fault
from tests.support.job_contexts import Heard, heard, make_context
from tests.support.waiting import wait_until
from workers.context import JobContext, StopSignal
from workers.kubernetes.rights import SERVICE_RIGHTS
from workers.runners import LaunchRequest, Runner, create_runner

__all__ = ["heard", "make_context"]

DATABASE = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "Database_${run_id}"},
    "spec": {
        "selector": {"matchLabels": {"app": "db"}},
        "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "db", "image": "pg:1"}]}},
    },
}
DOOR = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "door"},
    "spec": {"selector": {"app": "db"}, "ports": [{"port": 5432}]},
}

RunnerMaker = Callable[..., tuple[Runner, LaunchRequest]]


@pytest.fixture
def cluster() -> Iterator[FakeKubernetes]:
    with granted_kubernetes(*SERVICE_RIGHTS) as running:
        running.kinds["apps/v1"] = [("Deployment", "deployments")]
        running.kinds["/api/v1"] = [("Service", "services"), ("Pod", "pods"), ("ConfigMap", "configmaps")]
        yield running


@pytest.fixture
def make_runner(tmp_path: Path, cluster: FakeKubernetes) -> RunnerMaker:
    def make(*services: dict[str, Any], policy: PolicyRules | None = None, **arguments: Any) -> Any:
        job = Job(
            tmp_path / "state" / "jobs" / NAME,
            resource="kubernetes",
            command=("sh", "-c", "true"),
            image="train:1",
            knobs=arguments,
            kubernetes=KubernetesConfig(str(cluster.write_config(tmp_path / "kubeconfig"))),
        )
        spec = msgspec.structs.replace(job.order.spec, additional_services=services)
        order = msgspec.structs.replace(job.order, spec=spec, policy=policy or job.order.policy)
        launch = job.launch
        launch.environment.update(WANDB_API_KEY="key1", WANDB_CONFIG='{"lr": 1}')
        runner = create_runner(order, ())
        runner.validate()
        return runner, launch

    return make


def become_ready(cluster: FakeKubernetes) -> threading.Thread:
    def act() -> None:
        wait_until(lambda: cluster.objects("deployments") and cluster.objects("services"), 20, "they were created")
        cluster.create(("default", "endpoints"), {"metadata": {"name": "door"}, "subsets": [{"addresses": [{}]}]})
        cluster.change("deployments", "database-run", lambda one: one.update(status={"readyReplicas": 1}))

    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_the_job_begins_once_they_are_ready_and_they_go_with_it(
    make_runner: RunnerMaker, cluster: FakeKubernetes
) -> None:
    runner, launch = make_runner(DATABASE, DOOR)
    acting = become_ready(cluster)

    handle = runner.submit(launch)
    acting.join()

    (database,), (door,) = cluster.objects("deployments"), cluster.objects("services")
    (container,) = database["spec"]["template"]["spec"]["containers"]
    assert {one["name"] for one in container["env"]} == {"WANDB_CONFIG", "WANDB_API_KEY"}
    assert "key1" not in str(database)
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert database["spec"]["template"]["metadata"]["labels"]["launchd/service-of"] == NAME
    assert "launchd/name" not in database["spec"]["template"]["metadata"]["labels"], "its pods are not the job's"
    assert [one["metadata"]["ownerReferences"][0]["uid"] for one in (database, door)] == [handle.data["uid"]] * 2
    assert wait_for_end(runner, handle).state is JobState.FINISHED
    runner.delete(handle)
    assert (cluster.objects("deployments"), cluster.objects("services")) == ([], [])


def test_what_is_not_ready_in_time_fails_the_job_and_nothing_stays(
    make_runner: RunnerMaker, cluster: FakeKubernetes
) -> None:
    runner, launch = make_runner(DATABASE, wait_timeout=1)

    with pytest.raises(SubmitError, match="Deployment database-run in additional_services was not ready within 1 s"):
        runner.submit(launch)

    assert (cluster.objects("deployments"), cluster.objects("jobs")) == ([], [])
    assert cluster.objects("secrets") == []


def test_nothing_is_waited_for_where_the_job_says_so(make_runner: RunnerMaker, cluster: FakeKubernetes) -> None:
    runner, launch = make_runner(DATABASE, wait_for_ready=False)

    runner.submit(launch)

    assert len(cluster.objects("jobs")) == 1


def test_a_stop_while_they_are_waited_for_leaves_nothing(
    make_runner: RunnerMaker, cluster: FakeKubernetes, make_context: Callable[..., JobContext]
) -> None:
    runner, launch = make_runner(DATABASE)
    context = make_context()
    runner.fetch_image("train:1", context)
    context.interrupt(StopSignal("by the test", 1.0))

    with pytest.raises(JobCancelled):
        runner.submit(launch)

    assert cluster.objects("deployments") == []


def test_what_the_cluster_remarks_of_what_it_takes_is_a_warning_at_the_item(
    make_runner: RunnerMaker, cluster: FakeKubernetes, make_context: Callable[..., JobContext], heard: Heard
) -> None:
    runner, launch = make_runner(DATABASE, wait_for_ready=False)
    runner.fetch_image("train:1", make_context())
    cluster.remarks = ['unknown field "spec.template.spec.nodeSelectr"', "would violate PodSecurity."]

    runner.submit(launch)

    assert heard.warnings() == [
        'Kubernetes took the job, and remarked: unknown field "spec.template.spec.nodeSelectr".',
        "Kubernetes took the job, and remarked: would violate PodSecurity.",
    ]


def test_those_of_a_job_that_never_came_to_be_are_removed(make_runner: RunnerMaker, cluster: FakeKubernetes) -> None:
    runner, launch = make_runner(DATABASE, wait_for_ready=False)
    cluster.fail(Fault("POST", "/jobs", 500))
    with pytest.raises(Exception, match="error of its own"):
        runner.submit(launch)
    assert len(cluster.objects("deployments")) == 1

    assert runner.find(NAME) is None

    assert cluster.objects("deployments") == []


def test_those_of_a_job_that_the_cluster_refuses_are_removed(make_runner: RunnerMaker, cluster: FakeKubernetes) -> None:
    runner, launch = make_runner(DATABASE, wait_for_ready=False)
    cluster.fail(Fault("POST", "/jobs", 403))

    with pytest.raises(SubmitError, match="Kubernetes refused the job"):
        runner.submit(launch)

    assert (cluster.objects("deployments"), cluster.objects("secrets")) == ([], [])


def test_an_object_of_another_job_is_left_alone(make_runner: RunnerMaker, cluster: FakeKubernetes) -> None:
    cluster.create(("default", "services"), {"metadata": {"name": "door"}})
    runner, launch = make_runner(DOOR, wait_for_ready=False)

    with pytest.raises(SubmitError, match="has a Service door already"):
        runner.submit(launch)

    assert len(cluster.objects("services")) == 1


@pytest.mark.parametrize(
    ("service", "why"),
    [
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}, "kind ConfigMap in additional_services"),
        ({**DOOR, "spec": {"type": "NodePort"}}, "a Service with NodePort"),
        ({**DOOR, "spec": {"externalIPs": ["1.2.3.4"]}}, "a Service with externalIPs"),
        (
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"hostNetwork": True}},
            "the field hostNetwork",
        ),
    ],
)
def test_what_the_policy_does_not_grant_is_refused(make_runner: RunnerMaker, service: dict[str, Any], why: str) -> None:
    with pytest.raises(PolicyRefused) as refused:
        make_runner(service)

    assert why.lower() in refused.value.message.lower()


@pytest.mark.parametrize("arguments", [{"wait_for_ready": "yes"}, {"wait_timeout": "long"}, {"wait_timeout": -1}])
def test_a_wrong_patience_is_named(make_runner: RunnerMaker, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidSpec, match="wait_timeout a number of seconds"):
        make_runner(DOOR, **arguments)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"metadata": ["database"]}, "metadata in additional_services must be an object"),
        ({"metadata": {"name": "a", "labels": ["b"]}}, "labels in additional_services must be an object"),
        ({"kind": ["Pod"]}, "kind .* in additional_services is not granted"),
        ({"kind": None}, "is not granted"),
        ({"spec": {"containers": [None]}}, "containers in additional_services must be a list of objects"),
        ({"spec": {"containers": [{"env": "A=b"}]}}, "env in additional_services must be a list"),
        ({"spec": {"containers": [{}], "initContainers": True}}, "initContainers in additional_services"),
        (
            {"spec": {"template": {"metadata": "x", "spec": {"containers": [{}]}}}},
            "metadata in additional_services must be an object",
        ),
    ],
)
def test_what_has_a_wrong_form_is_told_before_anything_is_made(
    make_runner: RunnerMaker, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(JobError, match=sentence):
        make_runner({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "database"}} | changes)
