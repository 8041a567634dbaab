"""The objects that W&B's agent creates in a cluster and those that this one creates for the same run specs, compared.

W&B's runner creates them at a recorder, this one's at a stand-in for the API. A difference is one of
:data:`DIFFERENCES`, which are listed with their reasons in docs/compatibility.md, or a fault.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ipc.policy_rules import KubernetesRules, PolicyRules
from ipc.settings import KubernetesConfig
from tests.compat.both_agents import FOR_ANY_TARGET, create_here, created_by_wandb, image_spec, numbered
from tests.support.fake_kubernetes import FakeKubernetes, fake_kubernetes
from workers.kubernetes.manifest import KEEP_ENDED_SECONDS, containers_of, pod_specs

SCRIPT = Path(__file__).parent / "scripts" / "kubernetes_objects.py"
IMAGE = "registry.example/team/train:1"
GRANTED = KubernetesRules(
    service_accounts=("*",),
    host_paths=("/",),
    custom_resources=("*",),
    fields=(
        "hostNetwork", "hostPID", "hostIPC", "securityContext", "privileged", "hostPort",
        "automountServiceAccountToken", "shareProcessNamespace",
    ),
)  # fmt: skip

Object = dict[str, Any]


def spec(kubernetes: Object | None = None, **more: Any) -> Object:
    """Return a run spec of an image; ``kubernetes`` are the arguments."""
    return image_spec("kubernetes", IMAGE, kubernetes or {}, **more)


def overridden(**overrides: Any) -> Object:
    return spec(overrides=overrides)


def pod(**fields: Any) -> Object:
    return spec({"spec": {"template": {"spec": fields}}})


def container(**fields: Any) -> Object:
    return pod(containers=[fields])


def both(one: Object, **overrides: Any) -> Object:
    return {**one, "overrides": overrides}


QUEUES_STEM = "mine-"
COMMAND = ["python", "train.py"]


def task(name: str, replicas: int) -> Object:
    containers = [{"name": name, "image": "${image_uri}"}]
    return {"replicas": replicas, "name": name, "template": {"spec": {"containers": containers}}}


VOLCANO: Object = {
    "apiVersion": "batch.volcano.sh/v1alpha1",
    "kind": "Job",
    "metadata": {"name": "train"},
    "spec": {
        "minAvailable": 1,
        "schedulerName": "volcano",
        "tasks": [
            task("master", 1),
            task("worker", 2),
        ],
    },
}
PYTORCH: Object = {
    "apiVersion": "kubeflow.org/v1",
    "kind": "PyTorchJob",
    "metadata": {"name": "torch-${run_id}"},
    "spec": {"pytorchReplicaSpecs": {"Master": task("pytorch", 1)}},
}

CORPUS: list[Object] = [
    *(spec(**one) for one in FOR_ANY_TARGET),
    *(overridden(run_config=config) for config in ({}, {"lr": 0.1}, {"text": "ü" * 20}, {"text": "x" * 5000})),
    overridden(entry_point=COMMAND),
    overridden(entry_point=COMMAND, args=["--lr", "0.1", "two words", "${run_id}"]),
    overridden(entry_point=["sh", "-c", 'echo "$HOME"']),
    spec(project="UPPER_case and space"),
    spec(entity="a" * 60, project="b" * 60),
    spec({"namespace": "training"}),
    spec({"metadata": {"namespace": "training"}}),
    spec({"metadata": {"name": "train"}}),
    spec({"metadata": {"name": "train-${run_id}", "labels": {"team": "vision"}}}),
    spec({"metadata": {"generateName": QUEUES_STEM}}),
    spec({"metadata": {"annotations": {"a": "${project_name}/${entity_name}", "b": "${unknown}"}}}),
    spec({"metadata": {"labels": {"kueue.x-k8s.io/queue-name": "user-queue"}}, "spec": {"suspend": True}}),
    spec({"spec": {"backoffLimit": 3}}),
    spec({"spec": {"ttlSecondsAfterFinished": 5}}),
    spec({"spec": {"activeDeadlineSeconds": 100, "completions": 2, "parallelism": 2}}),
    spec({"spec": {"template": {"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}}}}),
    spec({"apiVersion": "batch/v1", "kind": "Job", "spec": {}}),
    pod(restartPolicy="OnFailure"),
    pod(nodeSelector={"gpu": "a100"}),
    pod(tolerations=[{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]),
    pod(affinity={"nodeAffinity": {}}),
    pod(serviceAccountName="trainer"),
    pod(imagePullSecrets=[{"name": "pull"}]),
    pod(priorityClassName="high", schedulerName="mine"),
    pod(terminationGracePeriodSeconds=5),
    pod(hostNetwork=True, dnsPolicy="ClusterFirstWithHostNet"),
    pod(securityContext={"runAsUser": 1000, "fsGroup": 1000}),
    pod(volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        containers=[{"volumeMounts": [{"name": "data", "mountPath": "/data"}]}]),
    pod(volumes=[{"name": "shm", "emptyDir": {"medium": "Memory"}}],
        containers=[{"volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}]}]),
    pod(volumes=[{"name": "host", "hostPath": {"path": "/data"}}], containers=[{}]),
    container(resources={"limits": {"nvidia.com/gpu": 1, "memory": "16Gi"}, "requests": {"cpu": "500m"}}),
    container(name="main"),
    container(name="main", image="other/image:2"),
    container(image="${image_uri}"),
    container(command=["sleep"], args=["5"]),
    both(container(command=["sleep"], args=["5"]), entry_point=COMMAND),
    both(container(command=["sleep"], args=["5"]), args=["7"]),
    both(container(command=["sleep"]), entry_point=COMMAND, args=["7"]),
    container(env=[{"name": "A", "value": "1"}]),
    container(env=[{"name": "A", "value": "${run_id}"}, {"name": "WANDB_NAME", "value": "mine"}]),
    container(env=[{"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]),
    container(envFrom=[{"configMapRef": {"name": "settings"}}]),
    container(securityContext={"runAsNonRoot": True}),
    container(ports=[{"containerPort": 80}], workingDir="/work", imagePullPolicy="Always", tty=True),
    container(lifecycle={"preStop": {"exec": {"command": ["true"]}}}),
    pod(containers=[{"name": "a"}, {"name": "b", "image": "side/car:1"}]),
    both(pod(containers=[{"name": "a"}, {"name": "b", "image": "side/car:1", "command": ["x"]}]), entry_point=COMMAND),
    pod(containers=[{"name": "a"}], initContainers=[{"name": "i", "image": "init:1", "command": ["true"]}]),
    spec(VOLCANO),
    both(spec(VOLCANO), entry_point=COMMAND),
    both(spec(VOLCANO), args=["--x"]),
    spec({**VOLCANO, "metadata": {"name": "v", "labels": {"a": "b"}, "namespace": "training"}}),
    spec(PYTORCH),
    both(spec(PYTORCH), entry_point=COMMAND, args=["--x"], run_config={"lr": 1}),
    spec({**PYTORCH, "metadata": {"name": "torch"}, "namespace": "training"}),
]  # fmt: skip


def is_job(made: Object) -> bool:
    return str(made["body"]["apiVersion"]) == "batch/v1"


def name_ends_with_the_workload(theirs: Object, ours: Object) -> bool:
    """The same after any restart, and no two alike; W&B's agent has the API make one, or takes the queue's for all.

    It puts a stem of its own in the place of a queue's ``generateName``.
    """
    own = str(ours["body"]["metadata"].pop("name"))
    given = theirs["body"]["metadata"]
    stem = given.pop("name", None)
    generated = given.pop("generateName", None)
    stems = (str(stem or generated).rstrip("-")[:8].lower(), QUEUES_STEM)
    return len(own) <= 63 and own.startswith(stems)


def namespace_is_in_the_object(theirs: Object, ours: Object) -> bool:
    """It is where W&B's agent creates it; there the key for the agent is in the object as well."""
    theirs["body"].pop("namespace", None)
    theirs["body"]["metadata"].pop("namespace", None)
    return bool(ours["body"]["metadata"].pop("namespace") == theirs["namespace"])


def labels_are_on_objects_and_pods(theirs: Object, ours: Object) -> bool:
    """The own ones find the object again; W&B's `wandb.ai/agent` names an agent that may be another by then."""
    places = zip(_label_places(theirs["body"]), _label_places(ours["body"]), strict=True)
    for their, our in places:
        their.pop("wandb.ai/agent")
        their.pop("wandb.ai/run-id", None)
        own = {key for key in our if key.startswith("launchd/")}
        our.pop("wandb.ai/run-id")
        if own != {"launchd/name", "launchd/agent", "launchd/item", "launchd/queue"}:
            return False
        for key in own:
            our.pop(key)
    return True


def _label_places(body: Object) -> Iterator[Object]:
    yield body["metadata"]["labels"]
    yield from _pod_labels(body["spec"])


def _pod_labels(value: Any) -> Iterator[Object]:
    if isinstance(value, dict):
        if "containers" in (value.get("spec") or {}):
            yield value["metadata"]["labels"]
        for inner in value.values():
            yield from _pod_labels(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _pod_labels(inner)


def ended_jobs_stay_for_a_day(theirs: Object, ours: Object) -> bool:
    """An agent that was away for more than a minute still learns how they ended."""
    if not is_job(theirs) or theirs["body"]["spec"]["ttlSecondsAfterFinished"] != 60:
        return True
    theirs["body"]["spec"].pop("ttlSecondsAfterFinished")
    return bool(ours["body"]["spec"].pop("ttlSecondsAfterFinished") == KEEP_ENDED_SECONDS)


def key_is_in_a_secret_of_the_job(theirs: Object, ours: Object) -> bool:
    """It goes with the job; W&B's agent writes it into custom resources itself."""
    for variable in _variables(theirs["body"], "WANDB_API_KEY"):
        variable.pop("value", None)
        variable.pop("valueFrom", None)
    own = list(_variables(ours["body"], "WANDB_API_KEY"))
    return bool(own) and all(variable.pop("valueFrom")["secretKeyRef"]["key"] == "password" for variable in own)


def _variables(body: Object, name: str) -> Iterator[Object]:
    for one in pod_specs(body):
        for each in one["containers"]:
            yield from (variable for variable in each.get("env", ()) if variable["name"] == name)


def variable_names_the_job(theirs: Object, ours: Object) -> bool:
    """The job learns what it is called."""
    del theirs
    places = [each for one in pod_specs(ours["body"]) for each in one["containers"]]
    for each in places:
        each["env"] = [variable for variable in each["env"] if variable["name"] != "LAUNCHD_JOB_NAME"]
    return True


def every_container_is_confined(theirs: Object, ours: Object) -> bool:
    """Those that prepare a pod and those of custom resources as well; W&B's agent (0.20.1) confines a Job's alone."""
    for their, our in zip(pod_specs(theirs["body"]), pod_specs(ours["body"]), strict=True):
        for one, other in zip(containers_of(their), containers_of(our), strict=True):
            if "securityContext" not in one:
                one["securityContext"] = other.get("securityContext")
    return True


def variables_in_one_order(theirs: Object, ours: Object) -> bool:
    """No difference: a list of variables with each name once is a set."""
    for made in (theirs, ours):
        for one in pod_specs(made["body"]):
            for each in one["containers"]:
                each["env"].sort(key=lambda variable: (variable["name"], json.dumps(variable)))
    return True


DIFFERENCES: tuple[Callable[[Object, Object], bool], ...] = (
    name_ends_with_the_workload,
    namespace_is_in_the_object,
    labels_are_on_objects_and_pods,
    ended_jobs_stay_for_a_day,
    key_is_in_a_secret_of_the_job,
    variable_names_the_job,
    every_container_is_confined,
    variables_in_one_order,
)


@pytest.fixture(scope="module")
def corpus() -> list[Object]:
    return numbered(CORPUS)


@pytest.fixture(scope="module")
def theirs(corpus: list[Object], tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    """What W&B's agent creates, in the order of the corpus."""
    made: list[Object] = created_by_wandb(SCRIPT, corpus, IMAGE, tmp_path_factory.mktemp("home"))
    return made


@pytest.fixture(scope="module")
def ours(corpus: list[Object], tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    """What this agent creates."""
    directory = tmp_path_factory.mktemp("here")
    with fake_kubernetes() as cluster:
        cluster.runs_pods = False
        cluster.kinds = {
            "batch.volcano.sh/v1alpha1": [("Job", "jobs")],
            "kubeflow.org/v1": [("PyTorchJob", "pytorchjobs")],
        }
        config = cluster.write_config(directory / "kubeconfig")
        order = {
            "kubernetes": KubernetesConfig(config_file=str(config)),
            "policy": PolicyRules(kubernetes=GRANTED),
        }
        return [_made(cluster, create_here(one, IMAGE, directory, **order)) for one in corpus]


def _made(cluster: FakeKubernetes, name: str) -> Object:
    everything = [
        {"namespace": namespace, "body": one}
        for namespace in ("default", "training")
        for plural in ("jobs", "pytorchjobs")
        for one in cluster.objects(plural, namespace)
    ]
    (made,) = (one for one in everything if one["body"]["metadata"]["labels"].get("launchd/name") == name)
    for key in ("uid", "creationTimestamp", "resourceVersion"):
        made["body"]["metadata"].pop(key)
    return made


def test_the_corpus_is_large_enough() -> None:
    assert len(CORPUS) >= 60


@pytest.mark.timeout(180)
def test_each_object_is_wandbs_but_for_what_is_listed(theirs: list[Object], ours: list[Object]) -> None:
    assert len(theirs) == len(ours) == len(CORPUS)

    found: list[str] = []
    for number, (their, our) in enumerate(zip(theirs, ours, strict=True)):
        assert "error" not in their, (number, their)
        found += [f"{number}: not {differs.__name__}" for differs in DIFFERENCES if not differs(their, our)]
        found += [f"{number}: {line}" for line in _differing(their, our, "")]
    assert found == []


def _differing(their: Any, our: Any, place: str) -> Iterator[str]:
    if isinstance(their, dict) and isinstance(our, dict):
        for key in sorted({*their, *our}):
            yield from _differing(their.get(key), our.get(key), f"{place}.{key}")
    elif isinstance(their, list) and isinstance(our, list) and len(their) == len(our):
        for index, (one, other) in enumerate(zip(their, our, strict=True)):
            yield from _differing(one, other, f"{place}.{index}")
    elif their != our:
        yield f"{place}: {their!r} and here {our!r}"


def test_every_difference_is_listed() -> None:
    page = (Path(__file__).parents[2] / "docs" / "compatibility.md").read_text()

    for words in ("metadata.name", "ttlSecondsAfterFinished", "launchd/", "securityContext", "LAUNCHD_JOB_NAME"):
        assert f"`{words}`" in page
