"""The JSON Schema of the configuration: takes every example there is, and refuses in kind what the loader refuses."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator

from launchd.config import Flags
from launchd.config.json_schema import SECTIONS
from launchd.config.keys import SECTIONS as BELOW_LAUNCHD
from launchd.config.keys import TOP
from tests.unit.config.conftest import SCHEMA, SERVING, Refuse

ROOT = Path(__file__).parents[3]
YAML_BLOCK = re.compile(r"^ *```ya?ml\n(?P<text>.*?)^ *```", re.DOTALL | re.MULTILINE)
TOP_KEYS = {*TOP, "builder", "registry", "environment", "launchd"}

#: What the loader refuses for its form, each with the key that is meant.
REFUSED = [
    "qeues: [a]",
    "queues: a",
    "queues: [1]",
    "queues: ['']",
    "queue: [a]",
    "max_jobs: -2",
    "max_jobs: many",
    "max_jobs: 1.5",
    "secure_mode: 1",
    "secure_mode: perhaps",
    "verbosity: -1",
    "builder: {destination: example.org/a}",
    "builder: {type: dockr}",
    "builder: {type: docker, platform: linux/arm}",
    "builder: {type: docker, secret-name: a}",
    "builder: {type: docker, build-context-store: /data}",
    "builder: {type: docker, kaniko-config: [a]}",
    "builder: docker",
    "registry: {type: hub}",
    "registry: {tag: a}",
    "environment: {region: a}",
    "environment: {type: aws}",
    "launchd: {base_url: queues.example.org}",
    "launchd: {api_key_file: key}",
    "launchd: {log_format: xml}",
    "launchd: {max_jobs: 3}",
    "launchd: {jobs: {max_attempts: 0}}",
    "launchd: {jobs: {stop_grace_seconds: -1}}",
    "launchd: {jobs: {output_max_bytes: 64 MB}}",
    "launchd: {jobs: {output_max_bytes: 0}}",
    "launchd: {jobs: {limits: {memory: lots}}}",
    "launchd: {jobs: {limits: {processors: 0}}}",
    "launchd: {jobs: {limits: {gpus: 1}}}",
    "launchd: {venv: {pip_args: --pre}}",
    "launchd: {docker: {host: /run/docker.sock}}",
    "launchd: {docker: {cleanup: {above_percent: 101}}}",
    "launchd: {registry: {username: me}}",
    "launchd: {buildah: {storage_driver: zfs}}",
    "launchd: {buildah: {user_numbers: 200000}}",
    "launchd: {policy: {preset: open}}",
    "launchd: {policy: {run_as_user: root, run_as_users: 70000-70999}}",
    "launchd: {policy: {git_transports: [ext]}}",
    "launchd: {policy: {queues: {a: {run_as_users: 1-x}}}}",
    "launchd: {jobs: {queues: {a: {max_runtime_seconds: soon}}}}",
    "launchd: {jobs: {queues: {a: {max_runtime: 5}}}}",
    "launchd: {jobs: {queues: []}}",
    "launchd: {hooks: {before: /bin/true}}",
    "launchd: {hooks: {after: []}}",
    "launchd: {history: {keep_days: 0}}",
    "launchd: {policy: {queues: {a: {containers: {mounts: [data]}}}}}",
    "launchd: {policy: {containers: {mounts: ['/data:rwx']}}}",
    "launchd: {policy: {containers: {user: 'a b'}}}",
    "launchd: {supervision: {wait_seconds: 0}}",
    "launchd: {gpus: {devices: [{name: A100}]}}",
    "launchd: {gpus: {devices: []}}",
    "launchd: [jobs]",
]


@pytest.mark.parametrize("text", REFUSED)
def test_what_the_loader_refuses_for_its_form_is_refused(text: str, refuse: Refuse) -> None:
    assert refuse(text, flags=Flags() if text.startswith("queue") else SERVING)
    assert list(SCHEMA.iter_errors(yaml.safe_load(text)))


def examples() -> Iterator[tuple[str, str]]:
    """Yield the configurations that users are shown: whole files, and blocks of the documentation."""
    for path in [*ROOT.glob("packaging/config/*.yaml"), *ROOT.glob("examples/**/launch-config*.yaml")]:
        yield str(path.relative_to(ROOT)), path.read_text()
    for page in [*ROOT.glob("docs/**/*.md"), ROOT / "README.md", *ROOT.glob("examples/**/*.md")]:
        for number, block in enumerate(YAML_BLOCK.finditer(page.read_text())):
            if is_configuration(block["text"]):
                yield f"{page.relative_to(ROOT)}, block {number}", block["text"]


def is_configuration(text: str) -> bool:
    values = yaml.safe_load(text)
    return isinstance(values, dict) and bool(TOP_KEYS & values.keys())


EXAMPLES = dict(examples())


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_taken(name: str) -> None:
    SCHEMA.validate(yaml.safe_load(EXAMPLES[name]))


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 5
    assert "packaging/config/launch-config.yaml" in EXAMPLES


def test_it_is_a_schema_with_every_section() -> None:
    Draft7Validator.check_schema(SCHEMA.schema)
    assert {f"launchd.{name}" for name in BELOW_LAUNCHD} <= SECTIONS.keys()


def test_editors_are_told_defaults_and_meanings() -> None:
    top = SCHEMA.schema["properties"]
    assert top["max_jobs"]["default"] == 1
    assert top["max_jobs"]["description"] == "jobs at the same time; -1 for no limit"
    queues = top["launchd"]["properties"]["policy"]["properties"]["queues"]
    assert "run_as_users" in queues["additionalProperties"]["properties"]
