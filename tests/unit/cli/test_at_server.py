"""The commands that speak to a queue server, against a real one; no agent runs."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from launchd.api.item_status import Submission
from launchd.cli.follow import follow
from launchd.client.queue_server import Item, QueueServer
from launchd.humanize import local_zone
from tests.support.gpu_offers import kind, offer, spec
from tests.support.server import RunningServer, fresh_name
from tests.support.waiting import wait_until
from tests.unit.cli.conftest import Launchd


@pytest.fixture
def queue(at_server: Launchd) -> str:
    name = fresh_name("queue")
    assert at_server("queue", "create", name).exit_code == 0
    return name


def item(server: RunningServer, item_id: str) -> Item:
    client = QueueServer(server.url, server.key)
    found = client.item(item_id)
    client.close()
    assert found is not None
    return found


def test_a_queue_from_its_creation_to_its_deletion(at_server: Launchd) -> None:
    created = at_server("queue", "create", "nightly", "-c", '{"env": {"A": "b"}}', "--no-priorities")
    assert (created.exit_code, created.stdout) == (0, "Queue 'nightly' of 'me' was created.\n")

    again = at_server("queue", "create", "nightly")
    change = "Change it with: launchd queue update nightly"
    assert (again.exit_code, again.stderr) == (1, f"Error: There is a queue 'nightly' of 'me' already. {change}\n")

    listed = at_server("queue", "list").output.splitlines()
    assert ["nightly", "local-process", "0", "0", "no", "no"] in [line.split() for line in listed]

    kept = at_server("queue", "delete", "nightly")
    assert kept.exit_code == 1
    assert at_server("queue", "show", "nightly").exit_code == 0

    assert at_server("queue", "delete", "nightly", "--yes").exit_code == 0
    gone = at_server("queue", "show", "nightly")
    advice = "See which there are with: launchd queue list --entity me"
    assert (gone.exit_code, gone.stderr) == (1, f"Error: There is no queue 'nightly' of 'me'. {advice}\n")


@pytest.mark.parametrize("kind", ["queue", "job"])
def test_an_entity_that_is_not_there_is_not_one_that_has_nothing(at_server: Launchd, kind: str) -> None:
    listed = at_server(kind, "list", "-e", "nobody")

    assert listed.exit_code == 1
    assert listed.stderr.startswith("Error: There is no entity 'nobody' at http://")


def test_a_queue_for_an_unknown_resource_is_refused(at_server: Launchd) -> None:
    made = at_server("queue", "create", "odd", "-r", "Kubernets")

    assert made.exit_code == 1
    assert made.stderr.startswith("Error: There is no resource 'Kubernets'. Did you mean 'kubernetes'? Known are: ")
    assert at_server("queue", "show", "odd").exit_code == 1


def test_a_command_is_queued(at_server: Launchd, server: RunningServer, queue: str) -> None:
    arguments = ("--async", "-q", queue, "--priority", "high", "--name", "first", "-c", '{"epochs": 3}')
    launched = at_server("launch", *arguments, "--", "sh", "-c", "echo $HOME", "--", "-q")

    assert launched.exit_code == 0
    found = item(server, launched.output.strip())
    assert found.run_spec is not None
    assert found.run_spec["overrides"] == {
        "run_config": {"epochs": 3},
        "entry_point": ["sh", "-c", "echo $HOME", "--", "-q"],
    }
    assert {key: found.run_spec[key] for key in ("entity", "project", "name", "author", "resource")} == {
        "entity": "me",
        "project": "uncategorized",
        "name": "first",
        "author": "me",
        "resource": "local-process",
    }
    assert (found.state, found.priority, found.queue_name) == ("PENDING", 1, queue)
    assert f"{found.id}  pending  high" in at_server("queue", "show", queue).output


def test_a_directory_is_uploaded(at_server: Launchd, server: RunningServer, queue: str, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print('hello')")
    arguments = ("launch", str(tmp_path), "--async", "-q", queue)

    without_script = at_server(*arguments)
    assert without_script.exit_code == 2
    assert "has no main.py: say what to run, as in -E 'python train.py'." in without_script.stderr

    launched = at_server(*arguments, "-E", "python train.py 'two words'", WANDB_PROJECT="mine")
    spec = item(server, launched.output.strip()).run_spec
    assert spec is not None
    assert spec["uri"].startswith("wandb-artifact://_id/")
    assert (spec["project"], spec["overrides"]["entry_point"]) == ("mine", ["python", "train.py", "two words"])


def test_a_git_repository_is_named(at_server: Launchd, server: RunningServer, queue: str) -> None:
    launched = at_server("launch", "git@host:me/project", "--git-version", "v1", "--async", "-q", queue)

    spec = item(server, launched.output.strip()).run_spec
    assert spec is not None
    assert spec["git"] == {"repo": "git@host:me/project", "version": "v1"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--", ), "There is no command after --."),
        (("-E", "'", "."), "No closing quotation."),
        (("-E", "", "."), "it is empty."),
        (("-E", "make", "--", "make"), "Give the command either with --entry-point or after --."),
        (("-c", "{", "--", "make"), "it is not JSON"),
        (("-c", '{"lr": NaN}', "--", "make"), "it is not JSON: NaN is a number that JSON cannot hold; in quotes it is"),
        (("-c", '{"lr": -1e999}', "--", "make"), "it is not JSON: -1e999 is a number that JSON cannot hold"),
        (("-c", "nowhere.json", "--", "make"), "'nowhere.json' is neither a JSON object nor a readable file."),
        (("--upload-pack=evil",), "No such option"),
        (("-r", "local-proces", "--", "make"), "There is no resource 'local-proces'. Did you mean 'local-process'?"),
        (("--priority", "urgent", "--", "make"), "'urgent' is not one of"),
    ],
)  # fmt: skip
def test_mistakes_in_the_command_are_usage_errors(
    arguments: tuple[str, ...], expected: str, at_server: Launchd
) -> None:
    answer = at_server("launch", *arguments)

    assert answer.exit_code == 2
    assert expected in answer.stderr


def test_a_configuration_file(at_server: Launchd, server: RunningServer, queue: str, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"overrides": {"args": ["--fast"]}}))
    launched = at_server("launch", "--async", "-q", queue, "-c", str(config), "--", "make")

    spec = item(server, launched.output.strip()).run_spec
    assert spec is not None
    assert spec["overrides"] == {"args": ["--fast"], "entry_point": ["make"]}

    config.write_text("[1]")
    assert "it must be a JSON object." in at_server("launch", "-c", str(config), "--", "make").stderr


def test_a_key_without_effect_is_told(at_server: Launchd, queue: str) -> None:
    config = {
        "overrides": {"run_cfg": {}},
        "resource_args": {"local-proces": {}, "local-process": {"memroy": "8 GiB", "launchd": {}}, "kubernetes": {}},
    }
    launched = at_server("launch", "--async", "-q", queue, "-c", json.dumps(config), "--", "make")
    assert launched.exit_code == 0
    assert launched.stderr.splitlines() == [
        "Warning: overrides.run_cfg has no effect. Did you mean 'run_config'?",
        "Warning: resource_args.local-proces has no effect. Did you mean 'local-process'?",
        "Warning: resource_args.local-process.memroy has no effect. Did you mean 'memory'?",
    ]
    name = f"limited-{uuid.uuid4().hex[:8]}"
    warning = "Warning: resource_args.local-process.disc has no effect. Did you mean 'disk'?\n"
    assert at_server("queue", "create", name, "-c", '{"disc": "1 GiB"}').stderr == warning
    assert at_server("queue", "update", name, "-c", '{"disc": "1 GiB"}').stderr == warning
    assert at_server("queue", "update", name, "-c", '{"disk": "1 GiB"}').stderr == ""


def test_a_queue_that_does_not_exist(at_server: Launchd, server: RunningServer) -> None:
    answer = at_server("launch", "-q", "nowhere", "--", "true")

    assert answer.exit_code == 1
    expected = f"There is no queue 'nowhere' of 'me' at {server.url}. Create it with: launchd queue create nowhere"
    assert answer.stderr == f"Error: {expected}\n"

    nobody = at_server("launch", "-e", "no-such-team", "--", "true")
    assert nobody.stderr == f"Error: There is no entity 'no-such-team' at {server.url} that you may use.\n"
    team = f"team-{uuid.uuid4().hex[:8]}"
    at_server("team", "create", team)
    of_team = at_server("launch", "-e", team, "-q", "nowhere", "--", "true")
    assert of_team.stderr.endswith(f"Create it with: launchd queue create nowhere --entity {team}\n")


def test_a_waiting_item_is_stopped_at_the_server(at_server: Launchd, server: RunningServer, queue: str) -> None:
    item_id = at_server("launch", "--async", "-q", queue, "--", "true").output.strip()

    stopped = at_server("stop", item_id, "--reason", "not today")
    assert (stopped.exit_code, stopped.output) == (0, f"Item {item_id}: The item has ended: stopped.\n")
    assert item(server, item_id).stop_reason == "not today"

    again = at_server("stop", item_id)
    assert (again.exit_code, again.stderr) == (1, f"Error: Item {item_id} is over already: stopped.\n")


def test_a_stop_of_an_unknown_item_is_refused(at_server: Launchd) -> None:
    answer = at_server("stop", "nothing")

    assert answer.exit_code == 1
    assert answer.stderr.startswith("Error: No agent runs here")
    assert "knows no item nothing either" in answer.stderr


@pytest.fixture
def waiting(server: RunningServer, queue: str) -> Iterator[subprocess.Popen[str]]:
    """`launchd launch` in a process of its own, waiting for an item that no agent takes."""
    arguments = [sys.executable, "-m", "launchd", "launch", "-q", queue, "--", "true"]
    environ = os.environ | {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": server.key, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(arguments, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def queued_item(process: subprocess.Popen[str]) -> str:
    """Wait until the process says that its item is queued; returns the item's id."""
    assert process.stdout is not None
    item_id = process.stdout.readline().split()[1]
    assert process.stdout.readline().endswith(" s  queued\n")
    return item_id


def test_waiting_ends_with_the_reason(at_server: Launchd, waiting: subprocess.Popen[str]) -> None:
    at_server("stop", queued_item(waiting), "--reason", "not today.")

    output, errors = waiting.communicate(timeout=60)
    assert waiting.returncode == 1
    assert output.endswith(" s  stopped\n")
    assert errors == "Error: The job was stopped: not today.\n"


def test_ctrl_c_stops_the_job(server: RunningServer, waiting: subprocess.Popen[str]) -> None:
    item_id = queued_item(waiting)
    waiting.send_signal(signal.SIGINT)

    _, errors = waiting.communicate(timeout=60)
    assert waiting.returncode == 130
    assert f"launchd logs -f {item_id}" in errors
    assert item(server, item_id).state == "STOPPED"


def test_a_server_that_comes_back_is_waited_for(
    server: RunningServer, at_server: Launchd, waiting: subprocess.Popen[str]
) -> None:
    item_id = queued_item(waiting)
    assert waiting.stdout is not None
    server.kill()
    assert "the queue server does not answer (" in waiting.stdout.readline()
    server.start()
    assert waiting.stdout.readline().endswith(" s  queued\n")

    at_server("stop", item_id)
    assert waiting.wait(10) == 1


def test_agents_by_status(at_server: Launchd, server: RunningServer) -> None:
    name = fresh_name("queue")
    with server.api() as api:
        agent_id = api.create_agent(api.create_queue(name))

    rows = [line.split() for line in at_server("agents").output.splitlines()]

    assert rows[0] == ["ID", "NAME", "STATUS", "STARTED", local_zone(), "HOST", "QUEUES"]
    row = next(row for row in rows if row and row[0] == agent_id)
    assert row[2] == "Polling"
    assert row[-2:] == ["host1", name]


def test_agents_that_are_long_gone_are_left_out(at_server: Launchd, server: RunningServer) -> None:
    queue = fresh_name("queue")
    with server.api() as api:
        queue_id = api.create_queue(queue)
        gone, busy = (api.create_agent(queue_id, hostname=fresh_name("host")) for _ in range(2))
        item = api.push(queue)
        assert api.claim(busy, "c") == [item]
    with contextlib.closing(sqlite3.connect(server.data_dir / "server.sqlite")) as database, database:
        week = 7 * 24 * 3600.0
        database.execute("UPDATE launch_agents SET heard_at = heard_at - ? WHERE id IN (?, ?)", (week, gone, busy))

    listed = at_server("agents")

    assert (gone in listed.stdout, busy in listed.stdout) == (False, True)
    assert listed.stderr == "Not shown: 1 that were not heard for 7 days; --all shows them.\n"
    assert gone in at_server("agents", "--all").output
    assert gone in at_server("agents", "--json").output


def test_what_each_agent_has_is_listed_with_it(at_server: Launchd, server: RunningServer, queue: str) -> None:
    pushed = at_server("launch", "--async", "-q", queue, "--name", "mine", "-p", "demo", "--", "python", "train.py")
    item_id = pushed.output.strip()
    with server.api() as api:
        query = 'query($q: String!) { project(name: "model-registry", entityName: "me") { runQueue(name: $q) { id } } }'
        host = fresh_name("host")
        agent = api.create_agent(api.run(query, {"q": queue})["project"]["runQueue"]["id"], hostname=host)
        assert api.claim(agent, "c") == [item_id]
        assert api.ack(agent, item_id) == [True]
        assert api.report(agent, item_id, 1, "running", phase="running")
    row = next(line for line in at_server("agents", COLUMNS="300").output.splitlines() if line.startswith(item_id))
    assert row.split()[1:4] == [host, f"run-{item_id}", "running"]
    assert row.split()[-3:] == ["me", "demo:", "mine"]
    listed = json.loads(at_server("agents", "--json").output)
    held = next(one["heldItems"] for one in listed if one["id"] == agent)
    assert [one["id"] for one in held] == [item_id]


@pytest.mark.parametrize("command", [("agents",), ("queue", "list"), ("launch", "--", "true"), ("stop", "x")])
def test_a_wrong_key_and_a_server_that_is_away(command: tuple[str, ...], at_server: Launchd) -> None:
    wrong = at_server(*command, WANDB_API_KEY="wrong")
    away = at_server(*command, WANDB_BASE_URL="http://127.0.0.1:1")

    assert wrong.exit_code == away.exit_code == 1
    assert wrong.stderr.startswith("Error: ")
    assert "key" in wrong.stderr
    assert "cannot be reached" in away.stderr
    assert wrong.stderr.count("\n") == away.stderr.count("\n") == 1


def test_without_any_server(launchd: Launchd, tmp_path: Path) -> None:
    answer = launchd("agents", LAUNCHD_STATE_DIR=str(tmp_path))

    assert (answer.exit_code, answer.stderr) == (1, f"Error: `launchd up` does not run over {tmp_path}.\n")


def test_an_item_says_why_it_waits(at_server: Launchd, server: RunningServer, queue: str) -> None:
    with server.api() as api:
        item_id = api.push(queue, spec(16))
        asked = at_server("why", item_id)
        assert asked.output.splitlines() == [
            f"Item {item_id} of queue {queue!r}: pending.",
            f"No living agent serves queue {queue!r}. `launchd agents` lists those that are known.",
        ]
        client = QueueServer(server.url, server.key)
        queue_id = next(found.id for found in client.queues("me") if found.name == queue)
        client.close()
        agent = api.create_agent(queue_id, hostname="small")
        api.report_gpus(agent, offer(1, kind(2, 2, name="T4")))
    asked = at_server("why", item_id)
    assert "asks for 16 GPUs, which no living agent" in asked.output
    assert "host 'small' has 2 T4" in asked.output
    shown = at_server("queue", "show", queue)
    assert "no living agent could ever fit 16 GPUs" in shown.output.replace("\n", " ")


def test_nobody_knows_why_an_unknown_item_waits(at_server: Launchd) -> None:
    asked = at_server("why", "no-such-item")
    assert asked.exit_code == 1
    assert "knows no item no-such-item either" in asked.stderr


def test_an_item_is_found_by_what_a_person_knows_of_it(at_server: Launchd, queue: str, server: RunningServer) -> None:
    name = fresh_name("training")
    launch = ("launch", "--async", "-q", queue, "--name", name, "--", "env", "A=b", "python", "-c", "1")
    first, second = (at_server(*launch).output.strip() for _ in range(2))

    shown = at_server("show", second[:12])
    page = json.loads(at_server("show", second, "--json").output)["page"]
    assert f"page      {page}\n" in shown.output
    assert requests.get(page, timeout=10).headers["Content-Type"].startswith("text/html")
    assert page.endswith(f"/me/launch/items/{second}")
    assert shown.exit_code == 0, shown.output
    assert f"Item {second}  pending" in shown.output
    assert f"name      {name}" in shown.output
    assert "runs      env A=b python -c 1" in shown.output
    assert f"queue     {queue} of me" in shown.output
    assert f"launchd why {second}" in shown.output
    # Of several with one name, the newest; and the last one that was pushed.
    for word in (name, "@last"):
        assert json.loads(at_server("show", word, "--json").output)["id"] == second
    assert at_server("show", "no-such-thing").stderr.startswith("Error: There is no item 'no-such-thing' that you may")

    again = at_server("retry", first)
    new = again.output.split()[1]
    assert again.output == f"Item {new} in queue {queue!r} of 'me', as item {first}\n"
    assert (item(server, new).run_spec or {})["overrides"] == (item(server, first).run_spec or {})["overrides"]

    listed = at_server("queue", "show", queue, "-n", "2")
    assert [line.split()[0] for line in listed.stdout.splitlines()[2:]] == [new, second]
    assert listed.stderr == "The 2 newest are shown; --limit 20 shows more.\n"
    as_json = json.loads(at_server("queue", "show", queue, "--json").stdout)
    assert [one["id"] for one in as_json["items"]] == [new, second, first]


def test_secrets_in_a_run_spec_are_not_shown(at_server: Launchd, queue: str) -> None:
    config = '{"overrides": {"args": ["--x"]}, "resource_args": {"local-process": {"env": {"API_TOKEN": "s3cr3t"}}}}'
    pushed = at_server("launch", "--async", "-q", queue, "-c", config, "--", "true").stdout.strip()
    for shown in (at_server("show", pushed), at_server("show", pushed, "--json")):
        assert (shown.exit_code, "s3cr3t" in shown.output) == (0, False)
        assert "API_TOKEN" in shown.output


def test_an_agent_elsewhere_is_asked_to_drain(at_server: Launchd, queue: str, server: RunningServer) -> None:
    host = fresh_name("host")
    with server.api() as api:
        query = 'query($q: String!) { project(name: "model-registry", entityName: "me") { runQueue(name: $q) { id } } }'
        queue_id = api.run(query, {"q": queue})["project"]["runQueue"]["id"]
        agent = api.create_agent(queue_id, hostname=host)
        drained = at_server("drain", host)
        assert drained.exit_code == 0, drained.output
        assert drained.output.endswith(f" on host {host} is asked to drain: it ends when its jobs are over.\n")
        assert api.watch(agent)["stopPolling"] is True
        other = api.create_agent(queue_id, hostname=host)
        assert at_server("drain", host).stderr.startswith(f"Error: There are several agents {host!r}: name one by its")
        assert at_server("drain", other[:8]).exit_code == 0
    assert at_server("drain", "no-such").stderr.startswith("Error: There is no living agent 'no-such'.")


def test_a_queue_is_changed_and_what_is_not_named_stays(at_server: Launchd, server: RunningServer) -> None:
    name = fresh_name("queue")
    at_server("queue", "create", name, "-c", '{"env": {"A": "b"}}')
    changed = at_server("queue", "update", name, "--no-priorities")
    assert (changed.exit_code, changed.output) == (0, f"Queue {name!r} of 'me' was changed.\n")
    client = QueueServer(server.url, server.key)
    settings = client.queue_settings("me", name)
    client.close()
    assert settings is not None
    assert settings.prioritization_mode == "DISABLED"
    assert settings.config == {"resource_args": {"local-process": {"env": {"A": "b"}}}}
    assert "There is no queue 'no-such'" in at_server("queue", "update", "no-such").stderr


def test_all_items_of_a_user_are_stopped(at_server: Launchd, queue: str) -> None:
    pushed = [at_server("launch", "--async", "-q", queue, "--", "true").output.strip() for _ in range(2)]
    stopped = at_server("stop", "--mine", "-q", queue)
    assert stopped.exit_code == 0, stopped.output
    assert sorted(line.split()[1].rstrip(":") for line in stopped.output.splitlines()) == sorted(pushed)
    assert at_server("stop", "--mine", "-q", queue).stderr.startswith("You have no item that is not over")
    assert "Name an item, or stop all of yours with --mine." in at_server("stop").stderr


def test_a_queue_is_paused_and_what_waits_in_it_is_rearranged(
    at_server: Launchd, server: RunningServer, queue: str
) -> None:
    name, other = f"{queue} b", fresh_name("other")
    for created in (name, other):
        assert at_server("queue", "create", created).exit_code == 0
    paused = at_server("queue", "pause", name)
    assert paused.output == (
        f"Queue {name!r} of 'me' is paused: it gives out nothing until `launchd queue resume '{name}'`.\n"
    )
    assert "Paused since 20" in at_server("queue", "show", name).output
    listed = next(line for line in at_server("queue", "list").output.splitlines() if name in line)
    assert "by me, 20" in listed
    assert json.loads(at_server("queue", "show", name, "--json").output)["queue"]["pausedBy"] == "me"
    pushed = at_server("launch", "--async", "-q", name, "--", "true").output.strip()
    assert f"Queue {name!r} was paused by me at 20" in at_server("why", pushed).output

    set_to = at_server("queue", "priority", pushed[:12], "critical")
    assert set_to.output == f"Item {pushed} has the priority critical (0).\n"
    assert item(server, pushed).priority == 0
    assert at_server("queue", "priority", "@last", "3").output.endswith("has the priority low (3).\n")
    moved = at_server("queue", "move", pushed, other)
    assert moved.output == f"Item {pushed} was moved from queue {name!r} to queue {other!r} of 'me'.\n"
    assert item(server, pushed).queue_name == other
    assert at_server("queue", "move", pushed, "no-such").stderr == "Error: There is no queue 'no-such' of 'me'.\n"
    assert at_server("queue", "resume", name).output == f"Queue {name!r} of 'me' gives out items.\n"
    assert "Paused since" not in at_server("queue", "show", name).output


@pytest.mark.parametrize("name", ["", " ", " a", "a ", "a/b", "a\nb", "a:b", "x" * 65])
def test_what_is_no_name_for_a_queue_is_refused_with_the_rule(at_server: Launchd, name: str) -> None:
    refused = at_server("queue", "create", name)
    assert refused.exit_code == 1
    assert " is no name for a queue: 1 to 64 printable characters, none of / \\ # ? % :, no space at" in refused.stderr


def test_a_name_with_a_space_is_quoted_wherever_a_command_has_it(at_server: Launchd, server: RunningServer) -> None:
    name = f"{fresh_name('two')} words, more"
    missing = at_server("launch", "-q", name, "--", "true")
    assert missing.stderr.endswith(f"Create it with: launchd queue create '{name}'\n")
    assert at_server("queue", "create", "--", f"-{name}").exit_code == 1
    assert at_server("queue", "create", name).exit_code == 0
    with server.api() as api:
        client = QueueServer(server.url, server.key)
        api.create_agent(
            *[queue.id for queue in client.queues("me") if queue.name == name], hostname=fresh_name("host")
        )
        client.close()
    assert f"'{name}'" in at_server("agents", COLUMNS="300").output
    assert at_server("queue", "delete", name, "--yes").exit_code == 0


def test_what_is_done_for_a_job_is_shown_from_anywhere(
    at_server: Launchd,
    server: RunningServer,
    queue: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("launchd.cli.follow.PROGRESS_SECONDS", 0.0)
    item_id = at_server("launch", "--async", "-q", queue, "--", "true").output.strip()
    printed = [""]

    def says(text: str) -> bool:
        printed.append(capsys.readouterr().out)
        return text in "".join(printed)

    client = QueueServer(server.url, server.key)
    with server.api() as api, ThreadPoolExecutor(1) as pool:
        queue_id = next(found.id for found in client.queues("me") if found.name == queue)
        agent = api.create_agent(queue_id, hostname=fresh_name("host"))
        assert api.claim(agent, "c") == [item_id]
        assert api.ack(agent, item_id) == [True]
        code = pool.submit(follow, client, Submission(item_id, "me", queue, "p"))
        for number, line in enumerate(("Collecting torch", "Installing torch"), start=1):
            assert api.report(agent, item_id, number, "starting", phase="building", message=line)
            wait_until(lambda line=line: says(f" s  building: {line}\n"), what="the line is shown")
        shown = at_server("show", item_id).output
        assert "doing     Installing torch" in shown
        assert "outcome" not in shown
        assert api.report(agent, item_id, 3, "finished", phase="finished")
        assert code.result(20) == 0
    client.close()
