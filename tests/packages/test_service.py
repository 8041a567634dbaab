"""The service on a host with systemd: from the installation to the purge, with jobs that run meanwhile."""

import json
import time

import pytest

from launchd.cli.errors import Misconfigured
from tests.packages.conftest import NEXT_VERSION, VERSION, Built, documented_commands, first_commands
from tests.packages.jobs import AGENT, CONFIG, SERVER, begin, end, output, run_job, status
from tests.packages.machine import Machine
from tests.support.waiting import assert_stays, wait_until

pytestmark = [pytest.mark.root, pytest.mark.long, pytest.mark.timeout(900)]

#: A newcomer's patience, in seconds.
FIRST_JOB_SECONDS = 60.0

#: More than the pause between two starts that systemd would make.
STAYS_SECONDS = 4.0

#: Prints what is served at a socket.
READ_METRICS = """
import socket
with socket.socket(socket.AF_UNIX) as client:
    client.connect({place!r})
    client.sendall(b"GET /metrics HTTP/1.1\\r\\nHost: here\\r\\nConnection: close\\r\\n\\r\\n")
    print(client.makefile().read())
"""


def test_the_first_job_runs_within_a_minute_and_five_commands(clean: Machine, built: Built) -> None:
    commands = first_commands()
    begun = time.monotonic()

    clean.install(built.debs)
    said = [clean.says(command) for command in commands[1:]]

    took = time.monotonic() - begun
    print(f"from the installation to the end of the first job: {took:.1f} s")  # noqa: T201
    assert len(commands) <= 5
    assert said[-1].endswith("finished")
    assert output(clean, said[-1].split()[1]) == ["hello"]
    assert took < FIRST_JOB_SECONDS


def test_an_agent_without_a_key_says_what_to_do_and_stays_down(clean: Machine, built: Built) -> None:
    installed = clean.install(built.debs)

    assert "put one into /etc/launch-agent/api.key" in installed
    assert stopped_for_good(clean)
    assert last_error(clean).endswith(
        "is empty. Put the key into /etc/launch-agent/api.key, which systemd copies there, and restart the service."
    )
    assert clean.property(SERVER, "ActiveState") == "active"
    assert clean.says("stat --format=%a:%U /etc/launch-agent /etc/launch-agent/* /var/lib/launch-agent").split() == [
        *("750:root", "600:root", "640:root", "711:root")
    ]


def test_an_agent_without_a_queue_says_what_to_do_and_stays_down(serving: Machine) -> None:
    serving.run(f"sed -i 's/^queues: .*/queues: []/' {CONFIG}")

    serving.run(f"systemctl restart {AGENT}", check=False)

    assert stopped_for_good(serving)
    assert "no queue is named. Name one in the file" in serving.says(f"journalctl --unit {AGENT} --output cat -n 20")


def test_an_agent_whose_queue_does_not_exist_waits_for_it(serving: Machine) -> None:
    serving.run(f"sed -i 's/^queues: .*/queues: [late]/' {CONFIG} && systemctl restart {AGENT}")

    wait_until(lambda: "There is no queue late" in serving.property(AGENT, "StatusText"), 20.0, "the line of status")
    assert_stays(lambda: serving.property(AGENT, "ActiveState") == "active", STAYS_SECONDS, "the agent")
    serving.run(f"launchd queue create late && systemctl reload {AGENT}")
    assert serving.says("launchd launch --queue late -- true").endswith("finished")
    assert serving.property(AGENT, "NRestarts") == "0"


@pytest.mark.parametrize("spoil", [f"echo '[' > {CONFIG}", f"rm {CONFIG}"])
def test_an_agent_answers_whatever_has_become_of_its_configuration(serving: Machine, spoil: str) -> None:
    serving.run(spoil)

    asked = serving.run(f"launchd status --config {CONFIG}")

    assert asked.stdout.startswith("agent ")
    assert "Warning: the configuration cannot be used, and the agent that runs" in asked.stderr
    assert CONFIG in asked.stderr


def test_the_example_configuration_is_valid_and_gives_each_job_a_user_of_its_own(serving: Machine) -> None:
    numbers = [int(run_job(serving, "id -u")[0]) for _ in range(2)]

    assert numbers[0] != numbers[1]
    assert all(70000 <= number <= 70999 for number in numbers)
    assert serving.says("launchd status").splitlines()[0].startswith("agent")


def test_a_running_job_notices_nothing_of_an_upgrade(serving: Machine, built_next: Built) -> None:
    item, process = begin(serving)

    said = serving.install(built_next.debs)

    assert "running jobs run on" in said
    assert serving.says("launchd --version").endswith(NEXT_VERSION)
    assert serving.property(AGENT, "ActiveState") == serving.property(SERVER, "ActiveState") == "active"
    end(serving, item, process)


def test_an_earlier_version_can_be_installed_again(serving: Machine, built_next: Built, built: Built) -> None:
    serving.install(built_next.debs)

    serving.install(built.debs, "--allow-downgrades")

    assert serving.says("launchd --version").endswith(VERSION)
    assert run_job(serving, "echo hello") == ["hello"]


def test_a_reload_takes_a_valid_configuration_and_refuses_another(serving: Machine) -> None:
    pid = serving.property(AGENT, "MainPID")

    serving.run(f"sed -i 's/^max_jobs: .*/max_jobs: many/' {CONFIG}")
    refused = serving.run(f"systemctl reload {AGENT}", check=False)
    serving.run(f"sed -i 's/^max_jobs: .*/max_jobs: 9/' {CONFIG} && systemctl reload {AGENT}")

    assert refused.returncode != 0
    assert (serving.property(AGENT, "MainPID"), status(serving)["max_jobs"]) == (pid, 9)


def test_a_removal_leaves_configuration_and_jobs_and_a_new_installation_adopts_them(
    serving: Machine, built: Built
) -> None:
    serving.run(f"echo '# mine' >> {CONFIG}")
    item, process = begin(serving)

    serving.run("apt-get remove -y launch-agent launch-agent-common launch-agent-server")

    assert not (serving.tree / "usr/bin/launchd").is_symlink()
    assert not (serving.tree / "usr/lib/launch-agent").exists()
    assert serving.says(f"tail -1 {CONFIG}") == "# mine"
    assert serving.says(f"cat /proc/{process[0]}/stat | cut -d' ' -f22") == process[1]
    serving.install(built.debs)
    end(serving, item, process)


def test_a_purge_leaves_nothing_of_the_agent_and_keeps_the_data_of_the_server(serving: Machine) -> None:
    _, process = begin(serving)

    said = serving.run("DEBIAN_FRONTEND=noninteractive apt-get purge -y 'launch-agent*' 2>&1").stdout

    assert "rm -r /var/lib/launch-agent-server" in said
    assert (serving.tree / "var/lib/launch-agent-server/server.sqlite").is_file()
    left = serving.says(
        "find / -xdev -name 'launch-agent*' -not -path '/proc/*' -not -path '/sys/*' | sort"
    ).splitlines()
    assert [path for path in left if not path.startswith(("/var/cache/apt", "/debs"))] == [
        "/var/lib/launch-agent-server"
    ]
    wait_until(lambda: serving.run(f"kill -0 {process[0]}", check=False).returncode != 0, 20.0, "the job's end")
    units = "systemctl list-units --all --plain --no-legend 'launch-agent*'"
    wait_until(lambda: serving.says(units) == "", 20.0, "systemd knew none of its units")


def test_a_purge_removes_the_data_of_a_server_where_that_was_answered(serving: Machine) -> None:
    serving.run("echo launch-agent-server launch-agent-server/remove-data boolean true | debconf-set-selections")

    serving.run("DEBIAN_FRONTEND=noninteractive apt-get purge -y launch-agent-server")

    assert not (serving.tree / "var/lib/launch-agent-server").exists()


def test_systemd_finds_nothing_wrong_and_rates_the_server_below_two(serving: Machine) -> None:
    checked = serving.run(f"systemd-analyze verify --man=no {AGENT} {SERVER}")
    rated = {
        unit: serving.run(f"systemd-analyze security --no-pager {unit}").stdout.splitlines() for unit in (AGENT, SERVER)
    }

    print(*rated[AGENT], *rated[SERVER], sep="\n")  # noqa: T201
    assert [line for line in checked.stderr.splitlines() if "launch-agent" in line] == []
    assert float(rated[SERVER][-1].split(": ")[1].split()[0]) <= 2.0


def test_the_doctor_finds_the_service_in_order_and_says_when_it_is_not(serving: Machine) -> None:
    code, found = doctor(serving)
    assert [one for one in found.values() if one["verdict"] == "fail"] == []
    assert code == 0
    assert {found[name]["verdict"] for name in ("configuration", "queue server", "queues", "service", "agent")} == {
        "ok"
    }

    serving.run(f"echo '# changed' >> /lib/systemd/system/{AGENT}")
    assert "systemd has the old one" in doctor(serving)[1]["service"]["sentence"]
    serving.run("systemctl daemon-reload; : > /etc/launch-agent/api.key")
    serving.run(f"systemctl restart {AGENT}", check=False)
    wait_until(lambda: serving.property(AGENT, "ActiveState") == "failed", 20.0, "the agent had ended")
    code, found = doctor(serving)
    assert (code, found["service"]["verdict"]) == (1, "fail")
    assert "(exit code 78)" in found["service"]["sentence"]


def test_the_documented_backup_is_restored_while_a_job_runs(serving: Machine) -> None:
    backup, restore = documented_commands("Backup and restore of the queue server")
    key = serving.says("cat /var/lib/launch-agent-server/admin.key")
    before = run_job(serving, "echo before")
    item, process = begin(serving)

    said = [serving.says(command) for command in backup]
    lost = serving.says("launchd launch --async -- true").split()[-1]
    for command in restore:
        serving.run(command)

    assert said[-1].startswith("/var/lib/launch-agent-server was backed up into /var/backups/launchd/today: ")
    assert serving.says("cat /var/lib/launch-agent-server/admin.key") == key
    assert before == ["before"]
    end(serving, item, process)
    assert lost not in serving.says("launchd queue show default")
    assert run_job(serving, "echo after") == ["after"]


def test_metrics_are_served_at_a_socket_of_the_runtime_directory(serving: Machine) -> None:
    place = "/run/launch-agent-server/metrics.sock"
    options = f"s#^OPTIONS=.*#OPTIONS=--metrics-listen unix:{place}#"
    serving.run(f"sed -i '{options}' /etc/launch-agent-server/environment && systemctl restart {SERVER}")

    # Of another user, who is nobody's here.
    served = serving.run("setpriv --reuid 4321 --clear-groups python3 -", stdin=READ_METRICS.format(place=place)).stdout

    assert "launchd_server_" in served


def test_a_killed_agent_is_started_again_and_adopts_its_job(serving: Machine) -> None:
    item, process = begin(serving)
    pid = serving.property(AGENT, "MainPID")

    serving.run(f"kill -KILL {pid}")

    wait_until(lambda: serving.property(AGENT, "MainPID") not in (pid, "0"), 20.0, "another agent")
    end(serving, item, process)


def test_the_journal_finds_what_is_logged_of_a_job(serving: Machine) -> None:
    item = serving.says("launchd launch -- echo hello").split()[1]

    listed = serving.says(f"journalctl --unit {AGENT} ITEM={item} --output json").splitlines()
    entries = [json.loads(line) for line in listed]

    assert entries[0]["MESSAGE"].startswith("A job was claimed. ")
    assert entries[-1]["MESSAGE"].startswith("A job is over. ")
    job = entries[0]["JOB"]
    assert {(one["JOB"], one["QUEUE"], one["PRIORITY"]) for one in entries} == {(job, "default", "6")}
    assert len(serving.says(f"journalctl --unit {AGENT} JOB={job} --output cat").splitlines()) == len(entries)


def test_a_stopped_agent_is_replaced_by_the_watchdog_and_its_job_adopted(serving: Machine) -> None:
    patience = "[Service]\nWatchdogSec=3\nTimeoutAbortSec=3\n"
    unit = f"/etc/systemd/system/{AGENT}.d"
    serving.run(f"mkdir {unit} && cat > {unit}/patience.conf && systemctl daemon-reload", stdin=patience)
    serving.run(f"systemctl restart {AGENT}")
    item, process = begin(serving)
    pid = serving.property(AGENT, "MainPID")

    serving.run(f"kill -STOP {pid}")

    wait_until(lambda: serving.property(AGENT, "MainPID") not in (pid, "0"), 40.0, "another agent")
    assert "Watchdog timeout" in serving.says(f"journalctl --unit {AGENT} --output cat")
    end(serving, item, process)


def stopped_for_good(machine: Machine) -> bool:
    """Whether the agent has ended with the exit code of a wrong configuration, and is not started again."""
    wait_until(lambda: machine.property(AGENT, "ActiveState") == "failed", 20.0, "the agent had ended")
    assert_stays(lambda: machine.property(AGENT, "ActiveState") == "failed", STAYS_SECONDS, "the agent")
    return (machine.property(AGENT, "ExecMainStatus"), machine.property(AGENT, "NRestarts")) == (
        str(Misconfigured.exit_code),
        "0",
    )


def last_error(machine: Machine) -> str:
    lines = machine.says(f"journalctl --unit {AGENT} --output cat").splitlines()
    return [line for line in lines if line.startswith("Error: ")][-1]


def doctor(machine: Machine) -> tuple[int, dict[str, dict[str, str]]]:
    """Return the doctor's exit code, and its findings by the names of checks; of several the worst."""
    examined = machine.run("launchd doctor --json", check=False)
    order = ("not applicable", "ok", "warn", "fail")
    findings = sorted(json.loads(examined.stdout)["checks"], key=lambda one: order.index(one["verdict"]))
    return examined.returncode, {one["check"]: one for one in findings}
