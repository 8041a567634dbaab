"""The same run specs by W&B's agent and by this one, for tests that compare what both create of them."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ipc.run_spec import parse_run_spec
from ipc.work_order import WorkOrder
from tests.compat.clients import USUAL, find
from workers.builders import Build
from workers.job_environment import job_environment
from workers.runners import LaunchRequest, create_runner

KEY = "local-" + "0" * 40
BASE_URL = "http://127.0.0.1:9"

Spec = dict[str, Any]

#: What a run spec may have for any target.
FOR_ANY_TARGET: tuple[Spec, ...] = (
    {},
    {"overrides": {"args": ["--lr", "0.1"]}},
    {"overrides": {"artifacts": {"data": "wandb-artifact://ada/engine/data:v1"}}},
    {"overrides": {"files": {"config.yaml": {"a": 1}}}},
    {"name": "a name"},
    {"name": ""},
    {"author": "ada"},
    {"sweep_id": "sw33p"},
    {"_resume_count": 2},
    {"project": "UPPER"},
)


def image_spec(resource: str, image: str, arguments: object = None, **more: Any) -> Spec:
    """Return a run spec of ``image`` for a target, with its ``arguments`` there; ``None``: it has none."""
    given = {} if arguments is None else {"resource_args": {resource: arguments}}
    docker = {"docker": {"docker_image": image}}
    return {"entity": "ada", "project": "Engine", "resource": resource, **docker, **given, **more}


def numbered(corpus: Sequence[Spec]) -> list[Spec]:
    """Return the run specs of a corpus, each with a run of its own."""
    return [{**one, "run_id": f"run{number:05}"} for number, one in enumerate(corpus)]


def created_by_wandb(
    script: Path, specs: Sequence[Spec], image: str, home: Path, environ: Mapping[str, str] | None = None
) -> Any:
    """Return what ``script`` says in its last line after W&B's agent has created all ``specs``, with ``image``.

    It has ``environ`` and what every client needs, and ``home`` is its home and working directory.
    """
    variables = {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": BASE_URL, "WANDB_SILENT": "true", "HOME": str(home)}
    done = subprocess.run(
        [find(USUAL).python, script],
        input=json.dumps({"specs": specs, "image": image}),
        env={**(environ or {}), "PATH": os.environ["PATH"], **variables},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def create_here(spec: Spec, image: str, directory: Path, **order: Any) -> str:
    """Have this agent create ``spec`` with ``image``; ``order`` is more of the work order. Returns its name."""
    parsed = parse_run_spec(spec)
    made = WorkOrder(
        name=f"launchd-{parsed.run_id}-1",
        item_id="item",
        queue="queue",
        entity="entity",
        attempt=1,
        base_url=BASE_URL,
        spec=parsed,
        directory=str(directory / parsed.run_id),
        **order,
    )
    runner = create_runner(made, ())
    runner.validate()
    environment = job_environment(made, KEY, most=runner.capabilities.variable_characters)
    overrides = parsed.overrides
    runner.submit(
        LaunchRequest(made.name, overrides.entry_point, environment, directory, Build(image=image), overrides.args)
    )
    return made.name
