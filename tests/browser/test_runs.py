"""Projects, runs and sweeps on the web pages: what W&B's clients print addresses of."""

import json
import shlex
from contextlib import closing

import click
import pytest
import requests
from playwright.sync_api import expect

from launchd.api.job_sources import image_job
from launchd.cli import main
from launchd.client.job_file import JobName
from launchd.client.jobs import create_job
from launchd.client.queue_server import QueueServer
from tests.support.browsers import Visitor
from tests.support.server import Account

PROJECT = "digits"


@pytest.fixture
def run(account: Account) -> str:
    """A run that has logged a metric ten times."""
    with account.api() as api:
        config = json.dumps({"lr": {"value": 0.25}, "api_token": {"value": "hidden"}})
        api.mutate(
            "upsertBucket",
            "bucket { id }",
            name="run1",
            displayName="first try",
            modelName=PROJECT,
            entityName=account.entity,
            config=config,
            summaryMetrics=json.dumps({"loss": 0.5}),
        )
    lines = [json.dumps({"_step": step, "loss": 1 / (step + 1)}) for step in range(10)]
    url = f"{account.url}/files/{account.entity}/{PROJECT}/run1/file_stream"
    body = {"files": {"wandb-history.jsonl": {"offset": 0, "content": lines}}}
    requests.post(url, json=body, auth=("api", account.key), timeout=20).raise_for_status()
    return "run1"


def test_a_run_shows_its_curves_summary_and_configuration(visitor: Visitor, account: Account, run: str) -> None:
    page = visitor.sign_in(account.key, f"/{account.entity}/{PROJECT}/runs/{run}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("first try")
    expect(page.get_by_role("img")).to_have_accessible_name("loss: from 1 to 0.1, between 0.1 and 1")
    expect(page.locator("main")).to_contain_text("0.25")
    expect(page.locator("main")).to_contain_text(f"launchd run show {account.entity}/{PROJECT}/{run}")
    assert "hidden" not in page.content()


def test_a_project_lists_its_runs_with_what_they_measured(visitor: Visitor, account: Account, run: str) -> None:
    page = visitor.sign_in(account.key)
    page.get_by_role("link", name=PROJECT).click()
    expect(page.get_by_role("row").nth(1)).to_contain_text("first try")
    expect(page.get_by_role("columnheader", name="loss")).to_be_visible()
    page.get_by_role("link", name="first try").click()
    page.wait_for_url(f"**/{PROJECT}/runs/{run}")
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Project {account.entity}/{PROJECT}")


def test_numbers_that_json_lacks_are_shown(visitor: Visitor, account: Account) -> None:
    with account.api() as api:
        api.mutate(
            "upsertBucket",
            "bucket { id }",
            name="diverged",
            displayName="diverged",
            modelName=PROJECT,
            entityName=account.entity,
            config='{"clip": {"value": Infinity}}',
            summaryMetrics=r'{"loss": NaN, "least": -Infinity, "note": "NaN or \"Infinity\""}',
        )
    page = visitor.sign_in(account.key, f"/{account.entity}/{PROJECT}")
    expect(page.get_by_role("row", name="diverged")).to_contain_text("NaN")
    page.get_by_role("link", name="diverged").click()
    for text in ("NaN", "-Infinity", 'NaN or "Infinity"', "Infinity"):
        expect(page.locator("dd").get_by_text(text, exact=True)).to_be_visible()


def test_the_runs_of_a_sweep(visitor: Visitor, account: Account) -> None:
    with account.api() as api:
        sweep = api.mutate(
            "upsertSweep",
            "sweep { name }",
            config="method: grid\nparameters: {lr: {values: [1]}}\n",
            entityName=account.entity,
            projectName=PROJECT,
        )["sweep"]["name"]
        values = {"modelName": PROJECT, "entityName": account.entity, "sweep": sweep, "displayName": "swept"}
        api.mutate("upsertBucket", "bucket { id }", name="swept", **values)
    page = visitor.sign_in(account.key, f"/{account.entity}/{PROJECT}/sweeps/{sweep}")
    expect(page.get_by_role("link", name="swept")).to_be_visible()
    assert page.get_by_role("link", name="first try").count() == 0


@pytest.mark.parametrize("path", ["runs/none", "sweeps/none"])
def test_what_there_is_not(visitor: Visitor, account: Account, path: str) -> None:
    page = visitor.sign_in(account.key, f"/{account.entity}/no-such-project/{path}")
    expect(page.locator("main .error")).to_contain_text("There is no ")


def test_the_jobs_of_a_project(visitor: Visitor, account: Account) -> None:
    server = QueueServer(account.url, account.key)
    create_job(server, JobName(account.entity, PROJECT, "train", "latest"), image_job("example.org/train:1").job)
    server.close()
    page = visitor.sign_in(account.key, f"/{account.entity}/{PROJECT}")
    page.get_by_role("link", name="Jobs of this project").click()
    expect(page.get_by_role("row").nth(1)).to_contain_text(f"{account.entity}/{PROJECT}/train:latest")
    expect(page.get_by_role("row").nth(1)).to_contain_text("v0")


def parse(line: str) -> None:
    """Read a command of a page as the command line does, and run nothing."""
    program, *words = shlex.split(line)
    assert program == "launchd", line
    command: click.Command = main
    while isinstance(command, click.Group):
        name, *words = words
        found = command.get_command(click.Context(command), name)
        assert found is not None, line
        command = found
    command.make_context(line, list(words))


def test_the_commands_on_the_pages_are_commands(visitor: Visitor, account: Account, run: str) -> None:
    with closing(QueueServer(account.url, account.key)) as server:
        server.create_queue(account.entity, "it's mine")
        item = server.push(account.entity, "it's mine", {"overrides": {"entry_point": ["true"]}})
    visitor.sign_in(account.key)
    project = f"/{account.entity}/{PROJECT}"
    paths = ("/authorize", project, f"{project}/jobs", f"{project}/runs/{run}")
    launch = f"/{account.entity}/launch"
    for path in (*paths, launch, f"{launch}/it's mine", f"{launch}/items/{item}"):
        page = visitor.open(path)
        commands = page.get_by_text("On a terminal").locator("xpath=..").locator("pre")
        commands.wait_for(state="attached")
        for line in (commands.text_content() or "").splitlines():
            parse(line)
