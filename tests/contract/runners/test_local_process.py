"""What a local process may do, and what its shim makes of it: real processes, real files."""

import os
import pwd
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from ipc.errors import InvalidSpec, SubmitError
from ipc.job_files import LOCK_FILE
from ipc.settings import JobsConfig
from ipc.states import JobState
from ipc.work_order import JobUser, write_order
from launchd.agent.job_users import named_user
from tests.contract.runners.support import NAME, Job, wait_for_end
from tests.support.processes import is_gone
from tests.support.waiting import wait_until
from workers.job_umask import job_umask
from workers.output import OutputWriter
from workers.processes import ProcessKey
from workers.runners.local_process import LocalProcessRunner, host_environment
from workers.shim import records
from workers.shim.records import StartedRecord

as_root = pytest.mark.root

#: Two descendants that nothing but a walk of all processes finds: a session of its own, and a double fork of that.
HIDER = "setsid sh -c 'echo $$ >> pids; exec sleep 60' &"
HIDERS = f"touch pids; {HIDER} ({HIDER}); "


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "jobs" / NAME


def shell(directory: Path, script: str, jobs: JobsConfig | None = None) -> Job:
    return Job(directory, command=("sh", "-c", script), jobs=jobs or JobsConfig(stop_grace_seconds=5.0))


def noted_pids(job: Job, count: int) -> list[int]:
    """Return the process ids that the job wrote to the file ``pids``."""

    def read() -> list[int] | None:
        path = job.work / "pids"
        pids = [int(line) for line in path.read_text().split()] if path.exists() else []
        return pids if len(pids) >= count else None

    pids = wait_until(read, what="the processes of the job")
    assert pids is not None
    return pids


def test_the_command_gets_its_arguments_without_a_shell(directory: Path) -> None:
    job = Job(directory, command=(sys.executable, "-c", "import sys; print(sys.argv[1:])", "$HOME", "a b", "; exit 3"))

    assert job.run().state is JobState.FINISHED
    assert job.text() == "['$HOME', 'a b', '; exit 3']\n"


def test_the_command_gets_exactly_its_environment_and_its_directory(directory: Path) -> None:
    # Python itself adds LC_CTYPE where no locale is set.
    script = "import os; os.environ.pop('LC_CTYPE', None); print(sorted(os.environ.items()), os.getcwd())"
    job = Job(directory, command=(sys.executable, "-c", script))

    job.run()

    expected = host_environment(job.launch, None)
    expected.pop("LC_CTYPE", None)
    assert job.text() == f"{sorted(expected.items())} {job.work}\n"


#: Signals 32 and 33, which the C library keeps for its threads and no program can set back.
OF_THE_C_LIBRARY = 0b11 << 31


def test_the_command_has_clean_signals_no_input_and_no_descriptors_of_ours(directory: Path) -> None:
    script = "cat; ls -l /proc/self/fd | wc -l; grep -E 'Sig(Blk|Ign)' /proc/self/status; umask"
    job = shell(directory, script)

    job.run()

    lines = job.text().split()
    # The total's line, three standard streams, and the directory that ls itself reads.
    assert lines[0] == "5"
    assert [int(mask, 16) & ~OF_THE_C_LIBRARY for mask in (lines[2], lines[4])] == [0, 0]
    assert int(lines[5], 8) == job_umask(None, None)


def test_the_command_has_the_umask_and_the_variables_that_the_host_gives(directory: Path) -> None:
    job = shell(directory, "umask; echo $OF_HOST $PATH", JobsConfig(umask="027"))
    launch = msgspec.structs.replace(job.launch, environment={"OF_HOST": "here", "PATH": "/of/host:/bin:/usr/bin"})

    handle = job.runner().submit(launch)
    wait_for_end(job.runner(), handle)

    mask, variable, path = job.text().split()
    assert (mask, variable) == ("0027", "here")
    # The job's own interpreter stays behind it, and an environment would come first.
    assert path.startswith("/of/host:")


@pytest.mark.parametrize(
    ("text", "mask"),
    [("", 0o022), ("UMASK 077\n", 0o077), ("# UMASK 077\nUMASK\t027\nUSERGROUPS_ENAB no\n", 0o027), ("UMASK x", 0o022)],
)
def test_the_umask_is_that_of_a_login(tmp_path: Path, text: str, mask: int) -> None:
    settings = tmp_path / "login.defs"
    settings.write_text(text)

    assert job_umask(None, None, settings) == mask
    assert job_umask("002", None, settings) == 0o002


def test_a_user_with_a_group_of_its_own_shares_what_it_writes_with_it(tmp_path: Path) -> None:
    settings = tmp_path / "login.defs"
    settings.write_text("UMASK 022\nUSERGROUPS_ENAB yes\n")
    own = next(user for user in pwd.getpwall() if user.pw_uid == user.pw_gid != 0)

    assert job_umask(None, JobUser(own.pw_uid, own.pw_gid, "/"), settings) == 0o002
    assert job_umask(None, JobUser(own.pw_uid, 0, "/"), settings) == 0o022
    assert job_umask(None, JobUser(0, 0, "/"), settings) == 0o022


def test_the_command_leads_its_own_session(directory: Path) -> None:
    job = shell(directory, "ps -o pid=,sid=,pgid= -p $$")

    job.run()

    assert len(set(job.text().split())) == 1


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (("no-such-command",), 127, "was not found"),
        (("./no-such-file",), 127, "was not found"),
        (("./not-executable",), 126, "may not be executed"),
        (("./no-interpreter",), 127, "interpreter in the first line"),
        (("./no-program",), 126, "neither a program nor a script"),
        (("true", "x" * 200_000), 126, "more than this host gives to a process"),
        (("true", "a\0b"), 126, "has a zero byte"),
        (("python3 -c '" + "x" * 5000 + "'",), 126, "… could not be started: File name too long."),
    ],
)
def test_a_command_that_cannot_be_executed_says_why(
    command: tuple[str, ...], code: int, words: str, directory: Path
) -> None:
    job = Job(directory, command=command)
    for name, content, mode in (
        ("not-executable", "#!/bin/sh\n", 0o644),
        ("no-interpreter", "#!/no/such/interpreter\n", 0o755),
        ("no-program", "\1\2\3", 0o755),
    ):
        (job.work / name).write_text(content)
        (job.work / name).chmod(mode)

    status = job.run()

    assert status.state is JobState.FAILED
    assert status.result is not None
    assert status.result.code == code
    assert words in (status.message or "")


def test_a_working_directory_that_was_removed_is_named(directory: Path) -> None:
    job = Job(directory)
    job.work.rmdir()

    status = job.run()

    assert status.state is JobState.FAILED
    assert "working directory was removed" in (status.message or "")


def test_a_job_killed_by_a_signal_says_by_which(directory: Path) -> None:
    status = shell(directory, "kill -SEGV $$").run()

    assert status.result is not None
    assert (status.state, status.result.code, status.result.signal) == (JobState.FAILED, None, signal.SIGSEGV)
    assert "SIGSEGV" in (status.message or "")


def test_a_stop_ends_every_descendant_however_it_hid(directory: Path) -> None:
    job = shell(directory, f"{HIDERS} echo $$ >> pids; sleep 60")
    runner, handle = job.submit()
    pids = noted_pids(job, 3)

    runner.cancel(handle, grace_seconds=5)

    assert wait_for_end(runner, handle).state is JobState.STOPPED
    assert all(map(is_gone, pids))


def test_a_stop_takes_its_time_for_a_polite_command(directory: Path) -> None:
    job = shell(directory, "trap 'sleep 0.2; echo saved; exit 0' TERM; echo $$ > pids; while :; do sleep 0.05; done")
    runner, handle = job.submit()
    noted_pids(job, 1)

    runner.cancel(handle, grace_seconds=10)

    assert wait_for_end(runner, handle).state is JobState.STOPPED
    assert job.text().endswith("saved\n")


def test_a_stop_is_forced_where_sigterm_is_ignored(directory: Path) -> None:
    job = shell(directory, "trap '' TERM; echo $$ > pids; while :; do sleep 0.05; done")
    runner, handle = job.submit()
    pids = noted_pids(job, 1)

    runner.cancel(handle, grace_seconds=0.3)

    status = wait_for_end(runner, handle, timeout=10)
    assert (status.state, status.result and status.result.signal) == (JobState.STOPPED, signal.SIGKILL)
    assert all(map(is_gone, pids))


def test_a_second_stop_may_shorten_the_grace(directory: Path) -> None:
    job = shell(directory, "trap '' TERM; echo $$ > pids; while :; do sleep 0.05; done")
    runner, handle = job.submit()
    noted_pids(job, 1)

    runner.cancel(handle, grace_seconds=300)
    runner.cancel(handle, grace_seconds=0)

    assert wait_for_end(runner, handle, timeout=10).state is JobState.STOPPED


def test_a_stopped_process_is_stopped_all_the_same(directory: Path) -> None:
    job = shell(directory, "echo $$ > pids; kill -STOP $$; sleep 60")
    runner, handle = job.submit()
    noted_pids(job, 1)

    runner.cancel(handle, grace_seconds=10)

    assert wait_for_end(runner, handle, timeout=5).state is JobState.STOPPED


def test_a_stop_before_the_start_prevents_it(directory: Path) -> None:
    job = shell(directory, "touch ran")
    earlier = job.runner()
    worker = job.submit_in_worker("prepare")
    worker.wait_for_word()
    (directory / "stop.json").write_text('{"grace_seconds": 1, "requested_at": 0}')
    worker.kill()

    runner, handle = job.submit()

    assert wait_for_end(runner, handle).state is JobState.STOPPED
    assert earlier.find(NAME) == handle
    assert not (job.work / "ran").exists()


def test_what_a_command_leaves_behind_ends_with_it(directory: Path) -> None:
    job = shell(directory, f"{HIDERS} while [ $(wc -l < pids) -lt 2 ]; do sleep 0.05; done; exit 7")

    status = job.run()

    assert status.result is not None
    assert (status.state, status.result.code) == (JobState.FAILED, 7)
    assert all(map(is_gone, noted_pids(job, 2)))


def test_output_of_both_streams_is_kept_in_order(directory: Path) -> None:
    job = shell(directory, "for i in 1 2 3; do echo out $i; echo err $i >&2; done")

    job.run()

    assert job.text() == "".join(f"out {i}\nerr {i}\n" for i in (1, 2, 3))


def test_output_that_is_no_text_is_kept_byte_for_byte(directory: Path) -> None:
    job = Job(directory, command=(sys.executable, "-c", "import os; os.write(1, bytes(range(256)) * 1000)"))

    job.run()

    assert (directory / "output.log").read_bytes() == bytes(range(256)) * 1000


def test_output_is_capped_and_its_positions_stay_true(directory: Path) -> None:
    count, limits = 64 * 1024 * 5 // 8, JobsConfig(output_max_bytes=10_000, output_files=3)
    job = Job(directory, command=("seq", "-f", "%07.0f", str(count)), jobs=limits)

    runner, handle = job.submit()
    wait_for_end(runner, handle)

    files = sorted(directory.glob("output.log*"))
    assert [file.name for file in files] == ["output.log", "output.log.1", "output.log.2"]
    assert sum(file.stat().st_size for file in files) <= 3 * 10_000
    whole = "".join(f"{number:07}\n" for number in range(1, count + 1)).encode()
    kept = job.output()
    assert len(kept) > 20_000
    assert whole.endswith(kept)
    assert OutputWriter(directory, limits).position == len(whole)


def test_a_job_that_floods_its_output_can_be_stopped(directory: Path) -> None:
    job = shell(directory, "yes 'echo $$' & echo $! > pids; wait", JobsConfig(output_max_bytes=100_000, output_files=2))
    runner, handle = job.submit()
    pids = noted_pids(job, 1)

    runner.cancel(handle, grace_seconds=5)

    assert wait_for_end(runner, handle).state is JobState.STOPPED
    assert all(map(is_gone, pids))
    assert sum(file.stat().st_size for file in directory.glob("output.log*")) <= 200_000


def test_a_job_with_an_image_is_refused(directory: Path) -> None:
    order = Job(directory).order
    spec = msgspec.structs.replace(order.spec, docker_image="python:3.12")

    with pytest.raises(InvalidSpec, match="runs no images"):
        LocalProcessRunner(msgspec.structs.replace(order, spec=spec)).validate()


def test_a_directory_removed_under_the_job_does_not_lose_the_outcome(directory: Path) -> None:
    job = shell(directory, "echo $$ > pids; trap 'exit 5' TERM; while :; do sleep 0.05; done")
    runner, handle = job.submit()
    (pid,) = noted_pids(job, 1)

    # The shim may be adding a file.
    wait_until(lambda: subprocess.run(["rm", "-rf", str(directory)], check=False).returncode == 0, what="it is removed")
    os.kill(pid, signal.SIGTERM)

    status = wait_for_end(runner, handle)
    assert (status.state, status.result and status.result.code) == (JobState.FAILED, 5)


def test_the_shim_says_in_its_title_whose_it_is(directory: Path) -> None:
    job = shell(directory, "sleep 60")
    runner, handle = job.submit()

    assert psutil.Process(int(handle.data["pid"])).cmdline()[0].strip() == f"launchd: shim {NAME}"

    runner.cancel(handle, 0)
    wait_for_end(runner, handle)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that other users may pass through, unlike pytest's."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory, NAME)


@as_root
def test_another_user_runs_the_job_in_files_of_its_own(open_directory: Path) -> None:
    script = "id -un; id -gn; touch mine; ls ..; cat ../job.json; ps -o uid= -p $$"
    job = Job(open_directory, command=("sh", "-c", script), user=named_user("nobody"))
    write_order(job.order)

    status = job.run()

    assert status.state is JobState.FINISHED
    text = job.text()
    assert text.startswith("nobody\n")
    assert (job.work / "mine").owner() == "nobody"
    assert "Permission denied" in text


@as_root
def test_a_number_without_a_password_entry_is_a_user(open_directory: Path) -> None:
    script = "id -u; id -g; id -G; echo $HOME $USER $LOGNAME $SHELL $TMPDIR; touch mine; cat ../job.json"
    user = JobUser(64321, 64322, "/nowhere", temporary="/tmp/of-its-own")
    job = Job(open_directory, command=("sh", "-c", script), user=user)
    write_order(job.order)

    assert job.run().state is JobState.FAILED

    expected = ["64321", "64322", "64322", "/nowhere job-64321 job-64321 /bin/sh /tmp/of-its-own"]
    assert job.text().splitlines()[:4] == expected
    assert "Permission denied" in job.text()
    assert (job.work / "mine").stat().st_uid == 64321


@as_root
def test_a_directory_that_the_user_may_not_enter_is_named(directory: Path) -> None:
    status = Job(directory, user=named_user("nobody")).run()

    assert status.state is JobState.FAILED
    assert f"may not enter {directory / 'work'}" in (status.message or "")


@as_root
def test_a_job_of_another_user_dies_with_its_shim(open_directory: Path) -> None:
    job = Job(open_directory, command=("sh", "-c", "echo $$ > pids; sleep 60"), user=named_user("nobody"))
    runner, handle = job.submit()
    (pid,) = noted_pids(job, 1)

    os.kill(int(handle.data["pid"]), signal.SIGKILL)

    assert wait_for_end(runner, handle).state is JobState.FAILED
    wait_until(lambda: is_gone(pid), what="the death of the job")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], check=True)
    yield disk
    # The shim leaves a moment after its last word.
    wait_until(lambda: subprocess.run(["umount", str(disk)], check=False).returncode == 0, what="the disk's last user")


@as_root
def test_a_full_disk_costs_output_and_nothing_else(small_disk: Path) -> None:
    job = shell(small_disk / NAME, "head -c 1000000 /dev/zero; rm -f filler; exit 4")

    status = job.run()

    assert status.result is not None
    assert (status.state, status.result.code) == (JobState.FAILED, 4)
    assert sum(file.stat().st_size for file in job.directory.glob("output.log*")) < 256 * 1024


@as_root
def test_dropped_output_is_noted_once_there_is_room_again(small_disk: Path) -> None:
    script = "head -c 300000 /dev/zero > filler; sleep 0.1; echo lost; sleep 0.1; rm filler; echo kept"
    job = shell(small_disk / NAME, script)

    assert job.run().state is JobState.FINISHED

    text = job.text()
    assert "bytes of output were dropped here" in text
    assert "lost" not in text
    assert text.endswith("kept\n")


@as_root
def test_a_disk_that_is_full_from_the_start_fails_the_job_with_a_sentence(small_disk: Path) -> None:
    job = shell(small_disk / NAME, "touch ran")
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(bytes(300_000))

    with pytest.raises(SubmitError, match="No space left on device"):
        job.submit()
    assert job.runner().find(NAME) is None


def test_a_job_whose_lock_lost_its_content_with_a_power_cut_says_that_the_host_was_restarted(directory: Path) -> None:
    job = shell(directory, "true")
    records.write_started(directory, StartedRecord(ProcessKey(2**22, 1, "another boot"), 1.0))
    (directory / LOCK_FILE).touch()

    runner = job.runner()
    handle = runner.find(NAME)

    assert handle is not None
    status = runner.inspect(handle)
    assert (status.state, status.message) == (
        JobState.FAILED,
        "The host was restarted while the job ran; its exit status is lost.",
    )


def test_what_a_job_used_is_known_without_a_group_as_well(directory: Path) -> None:
    # More than this process, of which the shim is a copy.
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + (64 << 20)
    # The second process is not the command's own: what it used counts too.
    script = f"{sys.executable} -c 'import time; b = bytearray({size})\nwhile time.process_time() < 0.3: pass' & wait"

    result = shell(directory, script).run().result

    assert result is not None
    assert result.cpu_seconds is not None
    assert result.cpu_seconds >= 0.3
    assert result.peak_memory_bytes is not None
    assert result.peak_memory_bytes >= size


def test_a_limit_that_the_host_cannot_hold_is_refused(directory: Path) -> None:
    runner = Job(directory, knobs={"memory": "64 MiB"}).runner()

    with pytest.raises(InvalidSpec, match="asks for a limit of memory, which this host cannot hold"):
        runner.validate()


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"memory": "much"}, "memory must be a number of bytes"),
        ({"processes": "4"}, "processes must be a whole number or null, and is text"),
    ],
)
def test_limits_that_are_none_are_named(limits: dict[str, object], words: str, directory: Path) -> None:
    with pytest.raises(InvalidSpec, match=words):
        Job(directory, knobs=limits).runner().validate()


def test_arguments_that_are_no_limits_are_ignored(directory: Path) -> None:
    Job(directory, knobs={"entrypoint": "x", "gpus": "all"}).runner().validate()
