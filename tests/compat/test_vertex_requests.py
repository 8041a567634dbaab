"""The custom jobs of W&B's agent 0.20.1 and of this one, for the same run specs, side by side.

W&B's runner hands its arguments to a recorder; Google's SDK makes requests of them, to a fake on a socket. Every
difference is listed here, and in docs/compatibility.md with its reason.
"""

import json
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from ipc.errors import InvalidSpec
from ipc.policy_rules import PolicyRules
from ipc.run_spec import parse_run_spec
from ipc.work_order import WorkOrder
from tests.compat.both_agents import FOR_ANY_TARGET
from tests.compat.clients import USUAL, find
from tests.support.google_cloud import PROJECT, REGION, GoogleCloud, google_cloud
from workers.builders import Build
from workers.job_environment import job_environment
from workers.runners import LaunchRequest
from workers.vertex.request import Place, job_request, read_args

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

NAME = "launchd-0123456789abcdef-1"
IMAGE = "us-docker.pkg.dev/p/r/image:1"
SCRIPTS = Path(__file__).parent / "scripts"
ROOT = Path(__file__).parents[2]
TOKEN = "token-of-the-test"

#: Labels and a variable that are this agent's own.
OWN_LABELS, OWN_VARIABLE = ("launchd-name", "launchd-queue"), "LAUNCHD_JOB_NAME"


def pool(replicas: int = 1, **container: Any) -> dict[str, Any]:
    machine = {"machine_type": "n1-standard-4", "accelerator_type": "NVIDIA_TESLA_T4", "accelerator_count": 1}
    found = {"image_uri": "${image_uri}", **container}
    return {"machine_spec": machine, "replica_count": replicas, "container_spec": found}


COMMANDS: dict[str, dict[str, Any]] = {
    "command": {"entry_point": ["python", "train.py"]},
    "command and arguments": {"entry_point": ["python", "train.py"], "args": ["--lr", "0.1"]},
    "run config": {"entry_point": ["sh", "-c", "x"], "run_config": {"lr": 0.1, "text": "ü" * 40}},
    "long run config": {"entry_point": ["true"], "run_config": {"text": "x" * 40000}},
}
POOLS: dict[str, dict[str, Any]] = {
    "one": {"worker_pool_specs": [pool()]},
    "several": {"worker_pool_specs": [pool(), pool(3, env=[{"name": "ROLE", "value": "${run_id}/${run_name}"}])]},
    "labels and output": {
        "worker_pool_specs": [pool(args=["--own"], env=[{"name": "WANDB_RUN_ID", "value": "theirs"}])],
        "labels": {"team": "vision"},
        "base_output_dir": "gs://other/${entity_name}",
    },
    "key": {
        "worker_pool_specs": [{**pool(), "disk_spec": {"boot_disk_size_gb": 200}}],
        "encryption_spec_key_name": "k",
    },
}
RUNS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "account and network": {
        "service_account": "a@p.iam.gserviceaccount.com",
        "network": "projects/1/global/networks/n",
    },
    "limits": {"timeout": 3600, "restart_job_on_worker_restart": True},
    "access": {"enable_web_access": True, "tensorboard": f"projects/1/locations/{REGION}/tensorboards/2"},
}
CORPUS = [(f"{command}, {pools}, {run}", command, pools, run) for command, pools, run in product(COMMANDS, POOLS, RUNS)]


def run_spec(command: str, pools: str, run: str) -> dict[str, Any]:
    args = {"spec": {"staging_bucket": "gs://team-bucket", **POOLS[pools]}, "run": RUNS[run]}
    return {
        "entity": "team",
        "project": "Engine",
        "run_id": "run1",
        "name": "a run",
        "author": "ada",
        "resource": "vertex",
        "resource_args": {"vertex": args},
        "docker": {"docker_image": IMAGE},
        "git": {},
        "overrides": COMMANDS[command],
    }


#: What a run spec may have for any target, and fields of Vertex AI's that no other of the corpus has.
MORE: list[dict[str, Any]] = [
    *FOR_ANY_TARGET,
    {"name": "ünï " * 8},
    {"run_id": "UPPER_and-1"},
    {"entity": "a" * 60},
    {"author": "Ada L.", "name": "n", "sweep_id": "s", "_resume_count": 1},
]
WIDER: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"worker_pool_specs": [{**pool(), "python_package_spec": None}]}, {}),
    ({"worker_pool_specs": [{**pool(), "nfs_mounts": [{"server": "s", "path": "/p", "mount_point": "m"}]}]}, {}),
    ({"worker_pool_specs": [pool(command=["sleep"], args=["5"])]}, {}),
    ({"worker_pool_specs": [pool(2), pool(), pool(1)]}, {"timeout": 60}),
    ({"worker_pool_specs": [pool(env=[{"name": "A", "value": "${image_uri}"}])], "labels": {"a": "${author}"}}, {}),
    ({"worker_pool_specs": [pool()], "labels": {}}, {"service_account": "a@p.iam.gserviceaccount.com"}),
    ({"worker_pool_specs": [pool()]}, {"network": "projects/1/global/networks/n", "timeout": 7200}),
]


def wider_spec(spec: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    args = {"spec": {"staging_bucket": "gs://team-bucket", **spec}, "run": run}
    return {**run_spec("command", "one", "nothing"), "resource_args": {"vertex": args}}


def of_any_target(more: dict[str, Any]) -> dict[str, Any]:
    usual = run_spec("command", "one", "nothing")
    return {**usual, **more, "overrides": {**usual["overrides"], **more.get("overrides", {})}}


SPECS = [
    *(run_spec(command, pools, run) for _, command, pools, run in CORPUS),
    *map(of_any_target, MORE),
    *(wider_spec(spec, run) for spec, run in WIDER),
]
IDS = [
    *(row[0] for row in CORPUS),
    *(f"more, {number}" for number in range(len(MORE))),
    *(f"wider, {number}" for number in range(len(WIDER))),
]


@pytest.fixture(scope="module")
def theirs() -> list[dict[str, Any]]:
    """What W&B's agent sends for each run spec of the corpus."""
    with google_cloud() as cloud:
        errors = sent(recorded(SPECS), cloud)
        assert errors == [None] * len(SPECS)
        return [canonical(job.request) for job in cloud.jobs]


def recorded(specs: list[dict[str, Any]]) -> str:
    command = [str(find(USUAL).python), str(SCRIPTS / "vertex_requests.py")]
    return subprocess.run(command, input=json.dumps(specs), capture_output=True, text=True, check=True).stdout


def sent(records: str, cloud: GoogleCloud) -> list[str | None]:
    cloud.valid_tokens.add(TOKEN)
    command = [sys.executable, "-m", "tests.compat.scripts.vertex_sdk", cloud.url, PROJECT, REGION, TOKEN]
    done = subprocess.run(command, input=records, capture_output=True, text=True, check=True, cwd=ROOT)
    found: list[str | None] = json.loads(done.stdout.splitlines()[-1])
    return found


def ours(spec: dict[str, Any]) -> dict[str, Any]:
    """Return what this agent sends."""
    parsed = parse_run_spec(spec)
    order = WorkOrder(NAME, "item1", "gpus", "team", 1, "http://localhost:1", parsed, "/none", policy=PolicyRules())
    variables = job_environment(order, "key1", IMAGE)
    entry_point, args = parsed.overrides.entry_point, parsed.overrides.args
    launch = LaunchRequest(NAME, entry_point, variables, Path("/none"), Build(image=IMAGE), args)
    request = job_request(read_args(order, IMAGE), order, launch, Place(PROJECT, REGION))
    # The SDK takes seconds to import, and every process of a run imports this module.
    from workers.gcp.session import parse_request

    return as_dict(parse_request(request))


def canonical(request: dict[str, Any]) -> dict[str, Any]:
    from google.cloud.aiplatform_v1.types import CustomJob
    from google.protobuf.json_format import ParseDict

    job = CustomJob()
    ParseDict(request, CustomJob.pb(job))
    return as_dict(job)


def as_dict(job: Any) -> dict[str, Any]:
    from google.protobuf.json_format import MessageToDict

    found: dict[str, Any] = MessageToDict(type(job).pb(job))
    return found


def without_known_differences(request: dict[str, Any], *, names_output: bool) -> dict[str, Any]:
    # Google Cloud takes small letters alone.
    labels = {name: text.lower() for name, text in request["labels"].items() if name not in OWN_LABELS}
    job = {**request["jobSpec"], "workerPoolSpecs": [_plain(one) for one in request["jobSpec"]["workerPoolSpecs"]]}
    if not names_output:
        # Both are below the staging bucket: W&B's by the time, this agent's by the workload name.
        prefix = job.pop("baseOutputDirectory")["outputUriPrefix"]
        assert prefix.startswith("gs://team-bucket/aiplatform-custom-job-")
    return {**request, "labels": labels, "jobSpec": job}


def _plain(pool_spec: dict[str, Any]) -> dict[str, Any]:
    """Return a pool with each variable once: of two of one name, the last counts."""
    container = dict(pool_spec["containerSpec"])
    variables = {one["name"]: one["value"] for one in container.pop("env") if one["name"] != OWN_VARIABLE}
    return {**pool_spec, "containerSpec": container, "variables": variables}


@pytest.mark.parametrize("number", range(len(SPECS)), ids=IDS)
def test_the_same_run_spec_makes_the_same_job(theirs: list[dict[str, Any]], number: int) -> None:
    names_output = number < len(CORPUS) and CORPUS[number][2] == "labels and output"

    mine = without_known_differences(ours(SPECS[number]), names_output=names_output)
    their = without_known_differences(theirs[number], names_output=names_output)
    if not SPECS[number]["name"]:
        # W&B's is called by the time.
        assert (mine.pop("displayName"), their.pop("displayName") != NAME) == (NAME, True)

    assert mine == their


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ({"spec": {"staging_bucket": "gs://b"}}, "worker pool"),
        ({"spec": {"worker_pool_specs": [{"replica_count": 1}], "staging_bucket": "gs://b"}}, "container"),
        ({"spec": {"worker_pool_specs": [pool()]}}, "staging bucket"),
    ],
)
def test_both_refuse_what_is_missing(args: dict[str, Any], sentence: str) -> None:
    spec = {**SPECS[0], "resource_args": {"vertex": args}}

    [record] = json.loads(recorded([spec]))
    assert sentence.rpartition(" ")[2] in record["error"]
    with pytest.raises(InvalidSpec, match=sentence):
        ours(spec)
