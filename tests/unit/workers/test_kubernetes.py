"""Manifests and names of jobs in a cluster, and how objects of one are judged."""

from typing import Any

import pytest

from ipc.policy_rules import KubernetesRules
from ipc.run_spec import RunSpec
from ipc.states import JobState
from workers.kubernetes.arguments import Arguments, read_arguments
from workers.kubernetes.ignored import ignored_keys
from workers.kubernetes.job_secrets import names_in
from workers.kubernetes.manifest import SECURITY_CONTEXT, Content, workload_object
from workers.kubernetes.names import object_name
from workers.kubernetes.status import judge_custom, judge_job, judge_pods

WORKLOAD = "launchd-0123456789abcdef-1"
CONTENT = {
    "workload": WORKLOAD,
    "stem": "launch-ada-engine",
    "namespace": "training",
    "labels": {"launchd/name": WORKLOAD},
    "environment": {"WANDB_API_KEY": "key1", "WANDB_RUN_ID": "run1"},
    "image": "train:1",
}


def arguments(**manifest: Any) -> Arguments:
    spec = RunSpec("ada", "engine", "run1", "kubernetes", resource_args={"kubernetes": manifest})
    return read_arguments(spec, "train:1", KubernetesRules())


def made(manifest: dict[str, Any], **content: Any) -> dict[str, Any]:
    return workload_object(arguments(**manifest), Content(**{**CONTENT, **content}))


def containers(body: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = body["spec"]["template"]["spec"]["containers"]
    return found


def with_containers(*given: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": list(given)}}}}


def test_an_empty_manifest_is_filled_in() -> None:
    body = made({}, entry_point=("python", "train.py"), args=("--fast",))

    assert (body["apiVersion"], body["kind"]) == ("batch/v1", "Job")
    assert body["metadata"]["name"] == "launch-ada-engine-0123456789abcdef-1"
    assert body["spec"]["backoffLimit"] == 0
    assert body["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    (container,) = containers(body)
    assert (container["name"], container["image"]) == ("launch0", "train:1")
    assert (container["command"], container["args"]) == (["python", "train.py"], ["--fast"])
    assert container["securityContext"] == SECURITY_CONTEXT


def test_the_key_is_read_from_a_secret() -> None:
    (container,) = containers(made({}))

    key, run = container["env"]
    assert key["valueFrom"]["secretKeyRef"]["name"] == WORKLOAD
    assert run == {"name": "WANDB_RUN_ID", "value": "run1"}


def test_what_the_manifest_says_counts_and_numbers_stay_numbers() -> None:
    own = {"name": "main", "image": "own:1", "command": ["own"], "resources": {"limits": {"nvidia.com/gpu": 1}}}

    (container,) = containers(made(with_containers(own), entry_point=("job",)))

    assert (container["image"], container["command"]) == ("own:1", ["own"])
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1


def test_a_given_image_and_a_replaced_entry_point_replace_those_of_the_manifest() -> None:
    own = {"image": "own:1", "command": ["own"]}

    (container,) = containers(
        made(with_containers(own), image_is_given=True, entry_point=("mine",), entry_point_is_given=True)
    )

    assert (container["image"], container["command"]) == ("train:1", ["mine"])


def test_macros_are_filled_and_keys_of_the_agent_are_left_out() -> None:
    read = arguments(namespace="training", metadata={"name": "train-${run_id}-${unknown}"})

    assert (read.namespace, read.manifest) == ("training", {"metadata": {"name": "train-run1-${unknown}"}})


@pytest.mark.parametrize("stem", ["", "a", "Train_Me", "9lives", "x" * 200, "é" * 70])
def test_names_fit_and_differ(stem: str) -> None:
    first, second = object_name(stem, WORKLOAD), object_name(stem, "launchd-0123456789abcdef-2")

    assert first != second
    assert len(first) <= 63
    assert first[0].isalpha()
    assert set(first) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def pod(state: dict[str, Any], phase: str = "Running", **status: Any) -> dict[str, Any]:
    containers = [{"name": "a", "state": state}]
    return {"metadata": {"name": "p"}, "status": {"phase": phase, "containerStatuses": containers, **status}}


def job(kind: str | None = None, **condition: Any) -> dict[str, Any]:
    conditions = [{"type": kind, "status": "True", **condition}] if kind else []
    return {"metadata": {}, "spec": {}, "status": {"conditions": conditions}}


TAKEN = {"type": "DisruptionTarget", "status": "True", "message": "node n is gone"}
FAILED = job("Failed", reason="BackoffLimitExceeded", message="Job has reached the specified backoff limit")


@pytest.mark.parametrize(
    ("seen", "pods", "state", "words"),
    [
        (job("Complete"), [], JobState.FINISHED, ""),
        (job("SuccessCriteriaMet"), [pod({"running": {}})], JobState.RUNNING, ""),
        (job(), [], JobState.STARTING, "no pod"),
        (job(), [pod({"waiting": {"reason": "ContainerCreating"}}, "Pending")], JobState.STARTING, "being created"),
        (
            job(),
            [pod({"waiting": {"reason": "ImagePullBackOff", "message": "no such image."}}, "Pending")],
            JobState.STARTING,
            "its image cannot be pulled: no such image",
        ),
        (FAILED, [pod({"terminated": {"exitCode": 3}}, "Failed")], JobState.FAILED, ""),
        (FAILED, [], JobState.FAILED, "backoff limit"),
        (
            FAILED,
            [pod({}, "Failed", reason="Evicted", message="too much")],
            JobState.FAILED,
            "evicted",
        ),
        (job("Failed", reason="DeadlineExceeded"), [], JobState.FAILED, "activeDeadlineSeconds"),
        (job(), [pod({}, "Succeeded")], JobState.RUNNING, "its controller has not said how"),
        (
            job(),
            [pod({"running": {}}, reason="NodeLost", message="Node n which was running pod p is unresponsive")],
            JobState.RUNNING,
            "the node of its pod does not answer: Node n which",
        ),
        (job(), [pod({"running": {}}, conditions=[TAKEN])], JobState.RUNNING, "takes its pod away: node n is gone"),
        (FAILED, [pod({}, "Failed", conditions=[TAKEN])], JobState.PREEMPTED, "took the job's pod away"),
        (job(), [pod({}, "Failed", conditions=[TAKEN])], JobState.RUNNING, "takes its pod away: node n is gone"),
        (
            job("Failed", reason="DeadlineExceeded"),
            [pod({}, "Failed", conditions=[TAKEN])],
            JobState.FAILED,
            "activeDeadlineSeconds",
        ),
    ],
)
def test_a_job_is_judged(seen: Any, pods: Any, state: JobState, words: str) -> None:
    judged = judge_job(seen, pods)

    assert judged.state is state
    assert words in (judged.message or "")


@pytest.mark.parametrize(
    ("created", "state"),
    [
        # With the one that was taken away, as another of several at the same time: it failed for that.
        ("2026-01-01T00:00:00Z", JobState.PREEMPTED),
        # In its place.
        ("2026-01-01T00:05:01Z", JobState.FAILED),
    ],
)
def test_a_pod_that_was_replaced_is_not_why_a_job_failed(created: str, state: JobState) -> None:
    taken = pod({}, "Failed", conditions=[{**TAKEN, "lastTransitionTime": "2026-01-01T00:05:00Z"}])
    taken["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    other = pod({"terminated": {"exitCode": 3}}, "Failed")
    other["metadata"]["creationTimestamp"] = created

    judged = judge_job(FAILED, [taken, other])

    assert judged.state is state
    assert judged.result is not None
    assert judged.result.code == (3 if state is JobState.FAILED else None)


def test_memory_that_ran_out_is_told_from_other_ends() -> None:
    judged = judge_job(FAILED, [pod({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}, "Failed")])

    assert judged.result is not None
    assert (judged.result.code, judged.result.oom_killed) == (137, True)


def conditions(**given: str) -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": status} for kind, status in given.items()]}


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ({"state": {"phase": "Pending"}}, JobState.STARTING),
        ({"state": {"phase": "Aborted"}}, JobState.FAILED),
        (
            {"conditions": [{"type": "Created", "status": "True"}, {"type": "Running", "status": "True"}]},
            JobState.RUNNING,
        ),
        (
            {"conditions": [{"type": "Running", "status": "False"}, {"type": "Succeeded", "status": "True"}]},
            JobState.FINISHED,
        ),
        ({}, JobState.STARTING),
        # JobSet and TrainJob (Kubeflow).
        ({"conditions": [{"type": "Suspended", "status": "True"}]}, JobState.STARTING),
        ({"conditions": [{"type": "StartupPolicyCompleted", "status": "True"}]}, JobState.STARTING),
        ({"conditions": [{"type": "Completed", "status": "True"}]}, JobState.FINISHED),
        ({"conditions": [{"type": "Complete", "status": "True"}]}, JobState.FINISHED),
        # AppWrapper.
        ({"phase": "Resuming"}, JobState.STARTING),
        ({"phase": "Succeeded"}, JobState.FINISHED),
        # Workflow (Argo).
        ({"phase": "Error"}, JobState.FAILED),
        # RayJob: its pods stay where the cluster is not to be shut down.
        ({"jobStatus": "", "jobDeploymentStatus": "Initializing"}, JobState.STARTING),
        ({"jobStatus": "PENDING", "jobDeploymentStatus": "Running"}, JobState.RUNNING),
        ({"jobStatus": "SUCCEEDED", "jobDeploymentStatus": "Complete"}, JobState.FINISHED),
        ({"jobStatus": "FAILED", "jobDeploymentStatus": "Complete"}, JobState.FAILED),
        ({"jobStatus": "STOPPED", "jobDeploymentStatus": "Complete"}, JobState.FAILED),
        ({"jobStatus": "FAILED", "jobDeploymentStatus": "Retrying"}, JobState.RUNNING),
        ({"jobStatus": "", "jobDeploymentStatus": "Failed"}, JobState.FAILED),
        ({"jobStatus": "", "jobDeploymentStatus": "Suspended"}, JobState.STARTING),
        ({"jobStatus": "SUCCEEDED"}, JobState.FINISHED),
    ],
)
def test_a_custom_resource_is_judged(status: Any, state: JobState) -> None:
    assert judge_custom({"status": status}, []).state is state


def test_a_custom_resource_whose_pod_was_taken_away_is_preempted() -> None:
    pods = [pod({"terminated": {"exitCode": 137}}, "Failed", conditions=[TAKEN])]

    judged = judge_custom({"status": {"state": {"phase": "Failed"}}}, pods)

    assert (judged.state, judged.message) == (
        JobState.PREEMPTED,
        "The cluster took the job's pod away: node n is gone.",
    )


TRAINING = {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob"}


@pytest.mark.parametrize(
    ("manifest", "ignored"),
    [
        ({"namespace": "a", "metadata": {}, "spec": {"template": {}}, "wait_timeout": 5}, []),
        ({"namespce": "a"}, ["namespce (did you mean namespace?)"]),
        ({"resources": {}}, ["resources"]),
        ({"spec": {"nodeSelector": {}}}, ["spec.nodeSelector (it stands below spec.template.spec)"]),
        ({"spec：": {}}, ["spec： (did you mean spec?)"]),
        ({"spec": {"backoff_limit": 1}}, ["backoff_limit (did you mean backoffLimit?)"]),
        (
            {"spec": {"template": {"spec": {"node_selector": {}, "containers": [{"image_pull_policy": "Always"}]}}}},
            ["node_selector (did you mean nodeSelector?)", "image_pull_policy (did you mean imagePullPolicy?)"],
        ),
        (
            {
                "metadata": {"labels": {"own_label": "a"}},
                "spec": {"template": {"spec": {"nodeSelector": {"a_b": "c"}}}},
            },
            [],
        ),
        ({"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "own": 1, "spec": {"own_field": 1}}, []),
        (
            {
                "apiVersion": "kubeflow.org/v1",
                "kind": "PyTorchJob",
                "spec": {"x": {"containers": [{"volume_mounts": []}]}},
            },
            ["volume_mounts (did you mean volumeMounts?)"],
        ),
    ],
)
def test_what_has_no_effect_is_named(manifest: dict[str, Any], ignored: list[str]) -> None:
    assert list(ignored_keys(arguments(**manifest))) == ignored


def test_a_pod_that_is_prepared_says_by_which_container() -> None:
    preparing = pod({"waiting": {"reason": "PodInitializing"}}, "Pending")
    preparing["status"]["initContainerStatuses"] = [{"name": "fetch", "state": {"running": {}}}]

    seen = judge_pods([preparing])

    assert (seen.message, seen.is_unexplained) == ("its pod is being prepared by the container fetch", False)


def test_what_is_for_the_agent_is_not_in_the_manifest() -> None:
    assert "launchd" not in made({"launchd": {"max_runtime_seconds": 60}})


def test_the_secrets_of_a_job_are_told_from_those_of_another() -> None:
    own = (WORKLOAD, f"{WORKLOAD}-pull", f"{WORKLOAD}-code-0", f"{WORKLOAD}-code-12")
    others = (f"{WORKLOAD}0", f"{WORKLOAD}-code-", f"{WORKLOAD}-pull-2", f"a{WORKLOAD}", "launch", "")

    named = names_in({"spec": {"volumes": [{"secret": {"secretName": name}} for name in (*own, *others)]}}, WORKLOAD)

    assert named == set(own)
