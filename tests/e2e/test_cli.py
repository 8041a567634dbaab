"""`launchd up` as a newcomer runs it, and jobs of every kind through it, by commands alone."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.local_stack import LEAVE_SECONDS, LocalStackProcess, make_repository
from tests.support.processes import command_line
from tests.support.waiting import wait_until


def test_jobs_of_every_kind(up: LocalStackProcess, tmp_path: Path) -> None:
    command = up.run("launch", "--", "sh", "-c", "printf 'a\\377b'; exit 3")
    assert command.returncode == 1
    assert b"Error: The job failed at stage run: " in command.stderr
    item_id = command.stdout.split()[1].decode()
    assert up.run("logs", item_id).stdout == b"a\xffb"
    assert up.outcomes()[item_id]["exit_code"] == 3

    code = tmp_path / "code"
    code.mkdir()
    (code / "main.py").write_text("import os; print('from a directory', os.environ['WANDB_CONFIG'])")
    directory = up.output("launch", str(code), "-c", '{"epochs": 3}')
    assert " s  finished" in directory.splitlines()[-1]
    assert up.output("logs", directory.split()[1]) == 'from a directory {"epochs": 3}'

    repository = up.output("launch", make_repository(tmp_path / "repository"), "--git-version", "v1")
    assert up.output("logs", repository.split()[1]) == "version 1"

    assert [line.split()[2] for line in up.output("agents").splitlines()] == ["STATUS", "Polling"]
    assert "default of" in up.output("status")


def test_output_is_followed_until_the_job_is_stopped(up: LocalStackProcess, tmp_path: Path) -> None:
    go_on = tmp_path / "go-on"
    script = f"echo first; until [ -e {go_on} ]; do sleep 0.05; done; echo second; exec sleep 600"
    item_id = up.launch("--", "sh", "-c", script)
    up.wait_running(item_id)

    with subprocess.Popen(up.command("logs", "-f", item_id), env=up.environ, stdout=subprocess.PIPE) as follower:
        assert follower.stdout is not None
        assert follower.stdout.readline() == b"first\n"
        go_on.touch()
        assert follower.stdout.readline() == b"second\n"
        assert up.output("stop", item_id, "--reason", "enough") == f"Job {item_id} is being stopped."
        assert follower.wait(20) == 0

    outcome = up.outcomes()[item_id]
    assert (outcome["phase"], outcome["stop_reason"]) == ("stopped", "enough")
    assert "enough" in up.output("status")


def test_what_is_said_of_a_job_that_finished_leads_to_its_output(up: LocalStackProcess) -> None:
    said = up.run("launch", "--", "echo", "hello").stderr.decode()

    assert up.output(*said.strip().split("launchd ")[1].split()) == "hello"


def test_the_line_for_logging_in_works_as_it_is_printed(up: LocalStackProcess) -> None:
    line = up.said().split("once for all:\n")[1].splitlines()[0].strip()
    program = " ".join(up.command())

    done = subprocess.run(
        line.replace("launchd", program, 1), shell=True, env=up.environ, capture_output=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, b"")
    assert (up.directory / "server" / "admin.key").read_text().strip() in (up.directory.parent / ".netrc").read_text()


def test_jobs_run_on_when_it_ends_and_are_taken_over(up: LocalStackProcess, tmp_path: Path) -> None:
    go_on = tmp_path / "go-on"
    item_id = up.launch("--", "sh", "-c", f"echo begun; until [ -e {go_on} ]; do sleep 0.05; done; echo done")
    up.wait_running(item_id)
    url = up.status()["server"]["url"]
    children = up.processes()
    assert up.run("up").stderr.startswith(b"Error: `launchd up` runs already over ")

    assert up.end(signal.SIGINT) == 0
    assert up.said().endswith("1 job runs on; the next `launchd up` adopts it.\n")
    assert not any(child.is_running() for child in children)
    assert up.run("status").stderr.decode() == f"Error: `launchd up` does not run over {up.directory}.\n"
    assert up.output("logs", item_id) == "begun"

    up.start()
    assert up.jobs() == {item_id: "running"}
    assert up.status()["server"]["url"] == url
    go_on.touch()
    wait_until(lambda: item_id in up.outcomes(), what="the job is over")
    assert up.output("logs", item_id) == "begun\ndone"


@pytest.mark.parametrize("name", ["server", "agent"])
def test_what_dies_is_started_again(name: str, up: LocalStackProcess) -> None:
    up.child(name).kill()

    wait_until(lambda: "died (exit code -9) and was started again." in up.said(), 20, f"the {name} is started again")
    wait_until(lambda: up.run("agents").returncode == 0, 20, "the server answers")
    wait_until(lambda: up.run("status").returncode == 0, 20, "the agent answers")
    assert up.run("launch", "--", "true").returncode == 0


def test_children_leave_when_it_is_killed(up: LocalStackProcess) -> None:
    children = up.processes()

    up.process.kill()
    up.process.wait()

    _, alive = psutil.wait_procs(children, timeout=LEAVE_SECONDS)
    assert alive == []


def test_it_ends_after_a_drain(up: LocalStackProcess, tmp_path: Path) -> None:
    go_on = tmp_path / "go-on"
    item_id = up.launch("--", "sh", "-c", f"until [ -e {go_on} ]; do sleep 0.05; done")
    up.wait_running(item_id)

    agent = up.status()["agent"]
    named = f"Agent {agent['name']} (process {agent['pid']})"
    assert up.output("drain") == f"{named} takes no more jobs and ends after 1 job."
    assert up.status()["agent"]["state"] == "draining"
    go_on.touch()
    assert up.process.wait(LEAVE_SECONDS) == 0
    assert "The agent has ended." in up.said()


def test_it_reads_its_configuration_again_and_detaches(up: LocalStackProcess) -> None:
    agent = up.status()["agent"]
    assert up.output("reload").endswith(f" (process {agent['pid']}) has read its configuration again.")
    assert up.output("detach").endswith(f" (process {agent['pid']}) ends.")
    assert up.process.wait(LEAVE_SECONDS) == 0


def test_keys_and_state_are_for_their_owner_alone(up: LocalStackProcess) -> None:
    key_file = up.directory / "server" / "admin.key"

    assert key_file.stat().st_mode & 0o777 == 0o600
    assert up.directory.stat().st_mode & 0o777 == 0o700
    key = key_file.read_text().strip()
    assert key not in " ".join(map(command_line, up.processes()))
    assert key not in (up.directory / "agent.log").read_text()


def test_what_lies_where_it_is_started_is_not_imported(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    for module in ("queue", "logging", "ipc", "workers", "launchd"):
        (project / f"{module}.py").write_text("raise SystemExit('not meant for you')")
    up = LocalStackProcess(tmp_path / "up")
    up.start(project)

    assert up.output("launch", "--", "true").endswith("finished")
    assert up.end() == 0


def test_a_server_that_cannot_start_is_told(tmp_path: Path) -> None:
    broken = LocalStackProcess(tmp_path / "up")
    (tmp_path / "up" / "server").mkdir(parents=True)
    (tmp_path / "up" / "server" / "server.sqlite").write_text("this is no database" * 100)

    answer = broken.run("up")

    assert answer.returncode == 1
    assert answer.stderr.startswith(b"Error: The queue server did not start: ")
    assert answer.stderr.count(b"\n") == 1


def test_a_launched_job_is_followed_with_its_output(up: LocalStackProcess) -> None:
    followed = up.run("launch", "--follow", "--", "sh", "-c", "echo hello; sleep 0.3; printf 'no line'; exit 3")

    lines = followed.stdout.decode().splitlines()
    assert followed.returncode == 1
    assert [line for line in lines if line in ("hello", "no line")] == ["hello", "no line"]
    assert " s  failed" in lines[-1]
    assert sum("(on host " in line for line in lines) == 1
    # What was followed is not shown again.
    assert followed.stderr.decode().splitlines() == [
        "Error: The job failed at stage run: The command ended with exit code 3."
    ]
    quiet = up.run("launch", "--no-follow", "--", "sh", "-c", "echo first; echo last; exit 3").stderr.decode()
    assert quiet.splitlines()[1:4] == ["The last lines of its output:", "  first", "  last"]


def test_its_server_is_the_one_that_is_backed_up(up: LocalStackProcess, tmp_path: Path) -> None:
    up.output("launch", "--", "true")
    said = up.output("backup", str(tmp_path / "copy"))
    assert said.startswith(f"{up.directory / 'server'} was backed up into {tmp_path / 'copy'}")
    assert (tmp_path / "copy" / "backup.json").exists()


def test_without_a_server_here_a_backup_says_what_it_misses(tmp_path: Path) -> None:
    environment = os.environ | {"HOME": str(tmp_path), "LAUNCHD_STATE_DIR": str(tmp_path / "none")}
    command = [sys.executable, "-m", "launchd", "backup", str(tmp_path / "copy")]
    refused = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (refused.returncode, "Missing option '--data-dir'" in refused.stderr) == (2, True)


def test_a_directory_within_a_directory_is_launched(up: LocalStackProcess, tmp_path: Path) -> None:
    inner = tmp_path / "code" / "jobs" / "hello"
    inner.mkdir(parents=True)
    (inner / "main.py").write_text("import os; print('in', os.path.basename(os.getcwd()))")
    (tmp_path / "outside").mkdir()

    launched = up.output("launch", str(tmp_path / "code"), "-b", "jobs/hello")
    assert up.output("logs", launched.split()[1]) == "in hello"
    for wrong in ("jobs/none", "../outside"):
        refused = up.run("launch", str(tmp_path / "code"), "-b", wrong)
        assert (refused.returncode, f"has no directory '{wrong}', which -b names.".encode() in refused.stderr) == (
            2,
            True,
        )


def test_output_that_cannot_be_written_ends_a_launch_with_a_sentence(up: LocalStackProcess) -> None:
    for words in (("launch", "--follow", "--", "sh", "-c", "sleep 0.5; seq 100000"), ("status",), ("logs", "@last")):
        with Path("/dev/full").open("w") as full:
            command = up.command(*words)
            said = subprocess.run(command, env=up.environ, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
        assert (said.returncode, said.stderr) == (1, b"Error: The output cannot be written: No space left on device.\n")


def test_a_closed_pipe_ends_a_launch_in_silence(up: LocalStackProcess) -> None:
    command = up.command("launch", "--follow", "--", "sh", "-c", "echo one; sleep 0.5; seq 100000")
    with subprocess.Popen(command, env=up.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as launching:
        assert launching.stdout is not None
        assert launching.stderr is not None
        launching.stdout.readline()
        launching.stdout.close()
        assert (launching.wait(60), launching.stderr.read()) == (1, b"")


def test_a_job_that_its_limit_of_time_ended_says_so(up: LocalStackProcess) -> None:
    stopped = up.run("launch", "--time-limit", "1s", "--", "sleep", "60")
    sentence = "Error: The job was stopped: it ran longer than its limit of 1.0s, set by its submitter."
    assert (stopped.returncode, stopped.stderr.decode().splitlines()[0]) == (1, sentence)


def test_a_directory_whose_path_is_too_long_is_told_before_anything_is_made(tmp_path: Path) -> None:
    long = LocalStackProcess(tmp_path / ("x" * 100))
    refused = long.run("up")
    sentence = f"Error: The path {long.directory} is too long for the socket of an agent: name a shorter one with"
    assert (refused.returncode, refused.stderr.decode()) == (1, f"{sentence} --state-dir.\n")
    assert not long.directory.exists()
