"""Which custom job becomes of a job's resource args, and what of it the policy grants."""

from pathlib import Path
from typing import Any

import pytest

from ipc.errors import InvalidSpec
from ipc.policy_rules import PolicyRules, VertexRules
from ipc.run_spec import RunSpec
from ipc.work_order import WorkOrder
from workers.builders import Build
from workers.runners import LaunchRequest
from workers.vertex import policy
from workers.vertex.request import Place, job_request, read_args, staging_bucket

NAME = "launchd-0123456789abcdef-1"
IMAGE = "us-docker.pkg.dev/p/r/image:1"
PLACE = Place("team-project", "us-central1")


def pool(**container: Any) -> dict[str, Any]:
    return {"machine_spec": {"machine_type": "n1-standard-4"}, "replica_count": 1, "container_spec": container}


def spec_with(*pools: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"worker_pool_specs": list(pools) or [pool(image_uri="${image_uri}")], "staging_bucket": "gs://b", **more}


def order_of(args: Any, rules: VertexRules | None = None, key: str = "vertex", **spec: Any) -> WorkOrder:
    run_spec = RunSpec("ada", "engine", "Run_1", "vertex", resource_args={key: args}, **spec)
    policy_rules = PolicyRules(vertex=rules or VertexRules())
    return WorkOrder(NAME, "item", "GPU queue", "ada", 1, "http://localhost", run_spec, "/none", policy=policy_rules)


def request_of(args: Any, *command: str, key: str = "vertex", job_args: tuple[str, ...] = (), **spec: Any) -> Any:
    order = order_of(args, key=key, **spec)
    launch = LaunchRequest(NAME, command, {"WANDB_RUN_ID": "Run_1"}, Path("/none"), Build(image=IMAGE), job_args)
    request = job_request(read_args(order, IMAGE), order, launch, PLACE)
    # The SDK takes seconds to import, and every process of a run imports this module.
    from workers.gcp.session import parse_request

    parse_request(request)
    return request


def refusals_of(rules: VertexRules | None = None, own_image: str | None = None, **given: Any) -> list[str]:
    run = given.pop("run", {})
    order = order_of({"spec": spec_with(*given.pop("pools", ()), **given), "run": run}, rules)
    launch = LaunchRequest(NAME, ("true",), {}, Path("/none"), Build(image=IMAGE))
    args = read_args(order, IMAGE)
    request = job_request(args, order, launch, PLACE)
    return policy.refusals(request, staging_bucket(args), own_image, rules or VertexRules())


def test_a_job_has_its_image_command_and_variables_in_each_pool() -> None:
    pools = (pool(image_uri="${image_uri}"), pool(env=[{"name": "MODE", "value": "worker"}]))

    request = request_of({"spec": spec_with(*pools)}, "python", "train.py", job_args=("--lr", "1"))

    containers = [one["container_spec"] for one in request["job_spec"]["worker_pool_specs"]]
    own = {"name": "WANDB_RUN_ID", "value": "Run_1"}
    assert containers == [
        {"image_uri": IMAGE, "command": ["python", "train.py", "--lr", "1"], "env": [own]},
        {
            "image_uri": IMAGE,
            "command": ["python", "train.py", "--lr", "1"],
            "env": [{"name": "MODE", "value": "worker"}, own],
        },
    ]


def test_variables_of_the_job_go_before_those_of_its_arguments() -> None:
    given = pool(env=[{"name": "WANDB_RUN_ID", "value": "another"}, {"name": "A", "value": "b"}])

    request = request_of({"spec": spec_with(given)}, "true")

    env = request["job_spec"]["worker_pool_specs"][0]["container_spec"]["env"]
    assert env == [{"name": "A", "value": "b"}, {"name": "WANDB_RUN_ID", "value": "Run_1"}]


def test_an_image_without_a_command_keeps_its_entry_point() -> None:
    container = request_of({"spec": spec_with()}, job_args=("--fast",))["job_spec"]["worker_pool_specs"][0]

    assert container["container_spec"].get("command") is None
    assert container["container_spec"]["args"] == ["--fast"]


def test_names_and_labels_tell_the_job() -> None:
    request = request_of({"spec": spec_with(labels={"team": "vision"})}, "true", name="a run")

    assert request["display_name"] == "a run"
    assert request["labels"] == {
        "team": "vision",
        "wandb-run-id": "run_1",
        "launchd-queue": "gpu-queue",
        "launchd-name": NAME,
    }


def test_what_runs_it_is_as_the_queue_says() -> None:
    run = {
        "timeout": 3600,
        "service_account": "trainer@p.iam.gserviceaccount.com",
        "network": "projects/1/global/networks/n",
        "restart_job_on_worker_restart": True,
        "tensorboard": "projects/1/locations/l/tensorboards/2",
        "experiment": "lr",
        "experiment_run": "one",
    }

    job = request_of({"spec": spec_with(encryption_spec_key_name="k"), "run": run}, "true")["job_spec"]

    assert job["scheduling"] == {"timeout": "3600s", "restart_job_on_worker_restart": True}
    assert (job["service_account"], job["network"]) == (run["service_account"], run["network"])
    assert job["experiment"] == "projects/team-project/locations/us-central1/metadataStores/default/contexts/lr"
    assert job["experiment_run"].endswith("/contexts/lr-one")


@pytest.mark.parametrize("key", ["vertex", "gcp-vertex"])
def test_both_words_of_the_resource_have_arguments(key: str) -> None:
    assert request_of({"spec": spec_with()}, "true", key=key)["job_spec"]["worker_pool_specs"]


def test_output_goes_below_the_staging_bucket_unless_a_place_is_named() -> None:
    default = request_of({"spec": spec_with()}, "true")
    named = request_of({"spec": spec_with(base_output_dir="gs://out/x")}, "true")

    assert default["job_spec"]["base_output_directory"] == {"output_uri_prefix": f"gs://b/aiplatform-custom-job-{NAME}"}
    assert named["job_spec"]["base_output_directory"] == {"output_uri_prefix": "gs://out/x"}


def test_macros_are_filled_at_any_depth_but_no_variable_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "key")
    given = pool(image_uri="${image_uri}", env=[{"name": "A", "value": "${run_id} ${SECRET}"}])

    env = request_of({"spec": spec_with(given)}, "true")["job_spec"]["worker_pool_specs"][0]["container_spec"]["env"]

    assert env[0] == {"name": "A", "value": "Run_1 ${SECRET}"}


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (None, "no resource_args.vertex"),
        ({"spec": 1}, "spec must be an object, and is a whole number"),
        ({"spec": {"staging_bucket": "gs://b"}}, "no worker pool"),
        ({"spec": {"worker_pool_specs": [{}], "staging_bucket": "gs://b"}}, "worker pool 0 has no container"),
        ({"spec": {"worker_pool_specs": [pool()]}}, "no staging bucket"),
        ({"spec": spec_with(pool(env={"A": "b"}))}, "env of a container_spec must be a list"),
        ({"spec": spec_with(labels=["x"])}, "labels must be a mapping"),
        ({"spec": spec_with(), "run": {"timeout": "an hour"}}, "run.timeout must be a number of seconds"),
        ({"spec": spec_with({**pool(), "replicas": 2})}, 'no field named "replicas"'),
        ({"spec": spec_with({**pool(), "replica_count": "many"})}, "replica_count|replicaCount"),
    ],
)
def test_what_vertex_ai_has_not_is_said(args: Any, sentence: str) -> None:
    with pytest.raises(InvalidSpec, match=sentence):
        request_of(args, "true")


def test_keys_without_an_effect_are_known() -> None:
    args = {"spec": spec_with(display_name="x"), "run": {"sync": True}, "region": "r", "builder": {}}

    assert read_args(order_of(args), IMAGE).ignored == ("region", "spec.display_name", "run.sync")


def test_a_usual_job_needs_no_grant() -> None:
    assert refusals_of(run={"timeout": 60}) == []


@pytest.mark.parametrize(
    ("given", "rules", "sentence"),
    [
        ({"run": {"service_account": "a@b"}}, VertexRules(), "service_account a@b is not granted"),
        ({"spec_account": 1, "service_account": "a@b"}, VertexRules(), "service_account a@b is not granted"),
        ({"run": {"network": "n"}}, VertexRules(networks=("m",)), "which grants: m"),
        ({"run": {"enable_web_access": True}}, VertexRules(), "The field enable_web_access is not granted"),
        ({"encryption_spec_key_name": "k"}, VertexRules(), "The field encryption_spec_key_name"),
        ({"pools": [{**pool(), "nfs_mounts": []}]}, VertexRules(), "The field nfs_mounts"),
        ({"pools": [{**pool(), "nfsMounts": []}]}, VertexRules(), "The field nfsMounts"),
        ({"pools": [pool(imageUri="evil")]}, VertexRules(), "The field imageUri"),
        ({"base_output_dir": "gs://other/x"}, VertexRules(buckets=("gs://b*",)), "The bucket gs://other/x"),
        ({}, VertexRules(images=("ubuntu",)), "is not granted on this host, which grants: ubuntu"),
    ],
)
def test_what_no_rule_grants_is_refused(given: dict[str, Any], rules: VertexRules, sentence: str) -> None:
    [refusal] = refusals_of(rules, **given)

    assert sentence in refusal


@pytest.mark.parametrize(
    ("given", "rules"),
    [
        ({"run": {"service_account": "a@b"}}, VertexRules(service_accounts=("*@b",))),
        ({"run": {"network": "n", "tensorboard": "t"}}, VertexRules(networks=("n",), fields=("tensorboard",))),
        ({"base_output_dir": "gs://b/x"}, VertexRules(buckets=("gs://b*",))),
        ({}, VertexRules(images=("us-docker.pkg.dev/p/*",))),
    ],
)
def test_what_a_rule_grants_is_granted(given: dict[str, Any], rules: VertexRules) -> None:
    assert refusals_of(rules, **given) == []


def test_an_image_that_the_agent_built_needs_no_grant() -> None:
    assert refusals_of(VertexRules(images=()), own_image=IMAGE) == []


def test_what_is_for_the_agent_is_not_said_to_be_ignored() -> None:
    order = order_of({"spec": spec_with(), "launchd": {"max_runtime_seconds": 60}, "other": 1})

    assert read_args(order, IMAGE).ignored == ("other",)
