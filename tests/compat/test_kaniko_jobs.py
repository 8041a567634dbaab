"""The build Jobs of W&B's agent 0.20.1 and of this one, for the same configurations of kaniko, side by side.

Every difference is listed here, and in docs/compatibility.md with its reason.
"""

import json
import subprocess
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from ipc.settings import BuilderConfig
from tests.compat.clients import USUAL, find
from workers.pod_builds.content import BUILD_LABEL, CONTEXT_PLACE, Content, Files
from workers.pod_builds.kaniko import DEFAULT_IMAGE, KanikoKit

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

SCRIPTS = Path(__file__).parent / "scripts"
NAME, REGION = "build-0123", "eu-west-1"

#: By registry: the repository.
REGISTRIES = {
    "ecr": f"123456789012.dkr.ecr.{REGION}.amazonaws.com/images",
    "gcr": "europe-docker.pkg.dev/p/r/image",
    "acr": "team.azurecr.io/images",
    "plain": "registry.example/team/images",
}
STORES = {"ecr": "s3://contexts", "gcr": "gs://contexts", "acr": "https://a.blob.core.windows.net/c", "plain": "s3://c"}
SHAPES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "pod": {
        "metadata": {"labels": {"team": "vision"}},
        "spec": {
            "backoffLimit": 2,
            "template": {
                "metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}},
                "spec": {"nodeSelector": {"x": "y"}, "activeDeadlineSeconds": 99, "serviceAccountName": "builder"},
            },
        },
    },
    "container": {
        "spec": {
            "template": {
                "spec": {
                    "volumes": [{"name": "own", "emptyDir": {}}],
                    "containers": [
                        {
                            "name": "mine",
                            "image": "kaniko:mine",
                            "args": ["--cache=false", "--verbosity=debug"],
                            "env": [{"name": "X", "value": "1"}],
                            "volumeMounts": [{"name": "own", "mountPath": "/own"}],
                            "resources": {"limits": {"memory": "8Gi"}},
                        }
                    ],
                }
            }
        }
    },
}
SECRETS: dict[str, dict[str, str]] = {
    "none": {},
    "of a cloud": {"secret_name": "credentials", "secret_key": "file"},
    "of registries": {"auth_secret": "auth"},
}
CORPUS = [
    case
    for case in product(REGISTRIES, SHAPES, SECRETS, (None, "contexts"))
    # With these W&B's builder fails over a variable that it has not set.
    if not (case[2] == "of a cloud" and case[0] in ("acr", "plain"))
]


def case_of(registry: str, shape: str, secrets: str, claim: str | None) -> dict[str, Any]:
    file = f"{NAME}.tgz"
    return {
        "registry": registry,
        "config": SHAPES[shape],
        "claim": claim,
        "region": REGION,
        "name": NAME,
        "repository": REGISTRIES[registry],
        "image": f"{REGISTRIES[registry]}:tag",
        "context": f"tar://{CONTEXT_PLACE}/{file}" if claim else f"{STORES[registry]}/{file}",
        **SECRETS[secrets],
    }


@pytest.fixture(scope="module")
def theirs() -> list[dict[str, Any]]:
    """What W&B's builder creates for each configuration."""
    command = [str(find(USUAL).python), str(SCRIPTS / "kaniko_jobs.py")]
    cases = json.dumps([case_of(*case) for case in CORPUS])
    done = subprocess.run(command, input=cases, capture_output=True, text=True, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def ours(case: dict[str, Any]) -> dict[str, Any]:
    volume = {"persistentVolumeClaim": {"claimName": case["claim"]}} if case["claim"] else None
    content = Content(
        name=NAME,
        namespace="wandb",
        labels={BUILD_LABEL: NAME, "launchd/built-by": "agent", "wandb": "launch"},
        reference=case["image"],
        dockerfile="Dockerfile.wandb",
        files=Files(case["context"], f"{NAME}.tgz", volume),
        config=BuilderConfig(
            "kaniko",
            kaniko_config=case["config"],
            secret_name=case.get("secret_name"),
            secret_key=case.get("secret_key"),
        ),
        timeout_seconds=3600,
        # As the agent has it where it has credentials for the registry, and for ACR in any case.
        push_secret="push" if case["registry"] == "acr" or case.get("secret_name") else None,
        auth_secret=case.get("auth_secret"),
        registry=case["registry"],
        region=REGION,
    )
    return KanikoKit().job(content)


def comparable(job: dict[str, Any]) -> dict[str, Any]:
    """Return a Job with its volumes by where they are mounted, and without what is known to differ."""
    spec, metadata = job["spec"], job["metadata"]
    template = spec["template"]
    pod = dict(template["spec"])
    (container,) = pod.pop("containers")
    volumes = {one["name"]: _source(one) for one in pod.pop("volumes")}
    mounts = {one["mountPath"].rstrip("/"): volumes[one["name"]] for one in container["volumeMounts"]}
    return {
        "labels": _labels(metadata),
        "pod labels": _labels(template["metadata"]),
        "annotations": template["metadata"].get("annotations"),
        "job": {key: value for key, value in spec.items() if key not in ("template", "ttlSecondsAfterFinished")},
        "pod": {key: value for key, value in pod.items() if key not in _POD_FIELDS} | _deadline(pod),
        "account": pod.get("serviceAccountName", "default"),
        "mounts": mounts,
        "container": {key: value for key, value in container.items() if key not in ("args", "env", "volumeMounts")}
        | {"image": "default" if container["image"] in _DEFAULT_IMAGES else container["image"]},
        "args": sorted(container["args"]),
        "env": sorted(_variable(one) for one in container["env"]),
    }


_POD_FIELDS = ("activeDeadlineSeconds", "serviceAccountName", "automountServiceAccountToken")
_DEFAULT_IMAGES = ("gcr.io/kaniko-project/executor:v1.11.0", DEFAULT_IMAGE)
#: The usual limits of time, W&B's and this agent's.
_DEADLINES = (1800, 3600)


def _deadline(pod: dict[str, Any]) -> dict[str, Any]:
    seconds = pod["activeDeadlineSeconds"]
    return {} if seconds in _DEADLINES else {"activeDeadlineSeconds": seconds}


def _labels(metadata: dict[str, Any]) -> dict[str, str]:
    return {name: text for name, text in metadata["labels"].items() if not name.startswith("launchd/")}


def _source(volume: dict[str, Any]) -> Any:
    source = {key: value for key, value in volume.items() if key != "name"}
    name = source.get("secret", {}).get("secretName")
    # Docker's configuration: a ConfigMap there, a Secret here.
    return "docker's configuration" if "configMap" in source or name == "push" else source


def _variable(one: dict[str, Any]) -> str:
    value = dict(one)
    if "valueFrom" in value:
        reference = {key: text for key, text in value["valueFrom"]["secretKeyRef"].items() if key != "optional"}
        value["valueFrom"] = reference
    return json.dumps(value, sort_keys=True)


@pytest.mark.parametrize("number", range(len(CORPUS)), ids=lambda number: ", ".join(map(str, CORPUS[number])))
def test_the_jobs_are_the_same_but_for_what_is_listed(theirs: list[dict[str, Any]], number: int) -> None:
    case = case_of(*CORPUS[number])
    own, other = comparable(ours(case)), comparable(theirs[number])

    if case["claim"] and case["registry"] == "acr":
        # W&B's has the key of the storage there, though nothing is fetched from it.
        other["env"] = [one for one in other["env"] if "AZURE_STORAGE_ACCESS_KEY" not in one]
    if case["registry"] == "plain" and not case["claim"]:
        # kaniko asks S3 in this region.
        own["env"] = [one for one in own["env"] if "AWS_REGION" not in one]
    assert own == other
