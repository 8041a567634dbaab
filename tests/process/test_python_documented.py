"""W&B's documented examples of `wandb.sdk.launch`, to the letter, with this package behind the names they import."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from launchd import Api
from launchd.client.artifacts import upload_directory
from launchd.client.job_file import CODE, JobFile, JobName, JobSource, code_reference
from launchd.client.jobs import create_job
from tests.support.accounts import make_accounts
from tests.support.program import program
from tests.support.testbed import Testbed, make_testbed

#: `wandb`, as far as the examples use it; `Api` has the shape of theirs.
MODULES = {
    "wandb/__init__.py": "",
    "wandb/apis/__init__.py": "",
    "wandb/apis/internal.py": """
import os

class Api:
    api_key = os.environ["WANDB_API_KEY"]

    def settings(self, key=None):
        values = {"base_url": os.environ["WANDB_BASE_URL"], "entity": None, "project": None}
        return values if key is None else values[key]
""",
    "wandb/sdk/__init__.py": "",
    "wandb/sdk/launch/__init__.py": "from launchd import *\n",
}

LAUNCH = """
import wandb.apis.internal
from wandb.sdk.launch import launch

job = "wandb/jobs/Hello World:latest"
params = {"epochs": 5}
# Run W&B project and create a reproducible docker environment
# on a local host
api = wandb.apis.internal.Api()
launch(api, job, parameters=params)
"""

LAUNCH_ADD = """
import wandb.apis.internal
from wandb.sdk.launch import launch_add

project_uri = "https://github.com/wandb/examples"
params = {"alpha": 0.5, "l1_ratio": 0.01}
# Run W&B project and create a reproducible docker environment
# on a local host
api = wandb.apis.internal.Api()
launch_add(uri=project_uri, parameters=params)
"""


@pytest.fixture(scope="module")
def testbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Testbed]:
    with make_testbed(tmp_path_factory.mktemp("testbed"), launchd={"policy": {"allow_local_git": True}}) as opened:
        opened.start_agent(GIT_CONFIG_GLOBAL=str(instead_of_github(tmp_path_factory.mktemp("repository"))))
        yield opened


def instead_of_github(directory: Path) -> Path:
    """A repository on this disk, and the git configuration that has it stand for the one of the example."""
    repository = directory / "examples"
    repository.mkdir()
    (repository / "main.py").write_text("import os; print(os.environ['WANDB_CONFIG'])\n")
    identity = ("-c", "user.name=me", "-c", "user.email=me@localhost", "-c", "init.defaultBranch=main")
    for words in (("init",), ("add", "main.py"), ("commit", "-m", "one")):
        subprocess.run(["git", *identity, "-C", str(repository), *words], check=True, capture_output=True)
    configuration = directory / "gitconfig"
    configuration.write_text(f'[url "file://{repository}"]\n  insteadOf = https://github.com/wandb/examples\n')
    return configuration


@pytest.fixture
def environ(testbed: Testbed, tmp_path: Path) -> dict[str, str]:
    for name, text in MODULES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return {
        "WANDB_BASE_URL": testbed.server.url,
        "WANDB_API_KEY": testbed.server.key,
        "LAUNCHD_STATE_DIR": str(tmp_path / "state"),
    }


def test_launch_add(testbed: Testbed, environ: dict[str, str], tmp_path: Path) -> None:
    with program(LAUNCH_ADD, tmp_path, environ) as running:
        assert (running.wait(), running.text()) == (0, "")

    (queued,) = Api(base_url=testbed.server.url, api_key=testbed.server.key).run_queue("default").items
    assert queued.wait_until_finished(40).state == "finished"
    output = Path(testbed.job(queued.id)["log_path"]).read_text()
    assert output == '{"alpha": 0.5, "l1_ratio": 0.01}\n'


def test_launch(testbed: Testbed, environ: dict[str, str], tmp_path: Path) -> None:
    make_hello_world(testbed, tmp_path / "hello")

    with program(LAUNCH, tmp_path, environ) as running:
        assert (running.wait(), running.text()) == (0, "")

    (output,) = (tmp_path / "state").glob("launches/*/jobs/*/output.log")
    assert output.read_text() == '{"epochs": 5}\n'


def make_hello_world(testbed: Testbed, code: Path) -> None:
    """The job of the example: a code directory kept under its name."""
    with make_accounts(testbed.server) as accounts:
        accounts.admin.mutate("createTeam", "entity { id }", teamName="wandb", teamAdminUserName=testbed.entity)
    code.mkdir()
    (code / "main.py").write_text("import os; print(os.environ['WANDB_CONFIG'])\n")
    artifact = upload_directory(testbed.client, "wandb", "jobs", "code", code)
    source = JobSource(artifact=code_reference(artifact), entrypoint=("python", "main.py"))
    create_job(testbed.client, JobName("wandb", "jobs", "Hello World"), JobFile(CODE, source))
