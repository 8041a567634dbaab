"""Trees that submitters write: no process with more rights than theirs opens, makes or removes anything there."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import pytest

from ipc.policy_rules import PolicyRules
from ipc.tree_tool import MAX_DEPTH
from ipc.trees import remove_tree, start_tool, tool_arguments
from ipc.work_order import FETCH_DIRECTORY, JobUser
from launchd.agent.job_users import numbered_user
from launchd.client.job_file import REPOSITORY, GitCommit, JobFile, JobName, JobSource
from launchd.client.jobs import create_job
from tests.attacks import hostile_trees
from tests.attacks.conftest import POLICY
from tests.support.git_origin import Origin
from tests.support.server import fresh_name
from tests.support.testbed import Testbed
from tests.support.waiting import wait_until
from workers.confined.directories import give_new_directory, make_directories
from workers.confined.fetcher import fetch
from workers.context import JobContext
from workers.sources import Project

pytestmark = pytest.mark.root

FETCHER, OWNER = 64600, 64601
TREES, ARCHIVES = 60, 120
DEPTH = 1500


def user(number: int) -> JobUser:
    return JobUser(number, number, "/")


@pytest.fixture
def outside(open_directory: Path) -> Path:
    """A directory of root's that links lead to: all may read it, and none may change it."""
    directory = open_directory / "outside"
    directory.mkdir(mode=0o755)
    (directory / "precious").write_text("as it was")
    return directory


def is_untouched(outside: Path) -> bool:
    status = (outside / "precious").stat()
    as_it_was = (outside / "precious").read_text() == "as it was" and [path.name for path in outside.iterdir()] == [
        "precious"
    ]
    return as_it_was and (status.st_uid, outside.stat().st_uid, outside.stat().st_mode & 0o777) == (0, 0, 0o755)


def give_all(tree: Path, number: int) -> None:
    """Have a tree belong to a user, as if that had made it."""
    subprocess.run(["chown", "-Rh", f"{number}:{number}", str(tree)], check=True)


# -- a hostile repository, at a real agent


@pytest.fixture
def origin(open_directory: Path) -> Origin:
    return Origin(open_directory / "origin")


def launch(host: Testbed, origin: Origin, *command: str) -> str:
    return host.push(*command, git={"repo": str(origin.path), "version": None})


def test_frozen_requirements_are_not_written_through_a_link(host: Testbed, origin: Origin, outside: Path) -> None:
    (origin.path / "requirements.frozen.txt").symlink_to(outside / "precious")
    origin.commit("print()")
    name = JobName(host.entity, "tests", fresh_name("job"))
    source = JobSource(git=GitCommit(str(origin.path)), entrypoint=("cat", "requirements.frozen.txt"))
    create_job(host.client, name, JobFile(REPOSITORY, source, "3.11"), requirements="frozen==1\n")
    host.start_agent()

    item = host.push("cat", "requirements.frozen.txt", job=f"{name.entity}/{name.project}/{name.name}:latest")

    [over] = host.wait_over([item])
    assert (over.state, host.output(item)) == ("FINISHED", "frozen==1\n")
    assert is_untouched(outside)


def test_a_linked_project_file_is_not_read_with_more_rights(
    host: Testbed, origin: Origin, open_directory: Path
) -> None:
    secret = open_directory / "secret"
    secret.write_text("[[root:s3cr3t:")
    secret.chmod(0o600)
    for name in ("pyproject.toml", "requirements.txt"):
        (origin.path / name).symlink_to(secret)
    origin.commit("print()")
    host.configure(max_jobs=1, launchd={"policy": POLICY | {"allow_venv": True}})
    host.start_agent()

    item = launch(host, origin, "sh", "-c", "echo ran; cat pyproject.toml requirements.txt")

    host.wait_over([item])
    told = json.dumps([host.job(item), host.client.item(item)], default=str) + host.output(item) + host.log()
    assert "s3cr3t" not in told
    assert "Links that lead out of the project were left out" in host.log()


def test_what_was_fetched_belongs_to_the_job_and_how_it_was_fetched_is_gone(host: Testbed, origin: Origin) -> None:
    (origin.path / "inner").symlink_to("main.py")
    origin.commit("x = 1")
    host.start_agent()

    script = 'test "$(stat -c %u main.py)" = "$(id -u)" && cat inner && git status --short && touch new && ls -a ..'
    item = launch(host, origin, "sh", "-c", script)

    [over] = host.wait_over([item])
    # "ls -a ..": the job may pass through its directory, and not look around there.
    assert over.state == "FAILED"
    assert host.output(item).startswith("x = 1")
    assert "Permission denied" in host.output(item)
    directory = Path(host.job(item)["log_path"]).parent
    assert not (directory / FETCH_DIRECTORY).exists()
    owners = {path.stat(follow_symlinks=False).st_uid for path in (directory / "work").rglob("*")}
    assert len(owners) == 1
    assert owners != {0}


def test_a_repository_deeper_than_any_project_is_refused_in_a_sentence(host: Testbed, origin: Origin) -> None:
    deep = origin.path.joinpath(*["d"] * (MAX_DEPTH + 5))
    deep.mkdir(parents=True)
    (deep / "file").touch()
    origin.commit("print()")
    host.start_agent()

    [over] = host.wait_over([launch(host, origin, "true")])

    assert over.state == "FAILED"
    assert f"it has directories more than {MAX_DEPTH} deep" in host.job(over.id)["message"]


DEEP = f"""
import os
for _ in range({DEPTH}):
    os.mkdir("d")
    os.chdir("d")
"""


def test_deep_directories_end_no_agent_and_no_other_job(host: Testbed) -> None:
    host.configure(max_jobs=1, launchd={"policy": POLICY, "jobs": {"keep_finished": 1}})
    agent = host.start_agent()

    deep = host.push("/usr/bin/python3", "-c", DEEP)
    others = [host.push("true") for _ in range(2)]

    assert {over.state for over in host.wait_over([deep, *others])} == {"FINISHED"}
    removed = host.state_dir / "removed"
    wait_until(lambda: removed.exists() and not any(removed.iterdir()), 60.0, what="the deep directory is gone")
    assert agent.exit_code() is None
    assert "could not be removed" not in host.log()


# -- hostile trees and archives, over packing, unpacking and removal


def run_tool(task: str, directory: Path, number: int, source: IO[bytes] | None = None) -> tuple[int, str]:
    arguments, script = tool_arguments(task)
    done = subprocess.run(
        arguments,
        stdin=source or subprocess.DEVNULL,
        capture_output=True,
        cwd=directory,
        pass_fds=(script,),
        user=number,
        group=number,
        extra_groups=[],
        check=False,
        timeout=60,
    )
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


def hand_over(source: Path, target: Path) -> tuple[int, int]:
    with start_tool("pack", source, user(FETCHER), stdout=subprocess.PIPE) as packer:
        unpacked, _ = run_tool("unpack", target, OWNER, packer.stdout)
        packer.communicate()
    return packer.returncode, unpacked


@pytest.mark.parametrize("seed", range(TREES))
def test_a_hostile_tree_goes_over_and_stays_inside(seed: int, open_directory: Path, outside: Path) -> None:
    source, target = open_directory / "source", open_directory / "target"
    give_new_directory(source, user(FETCHER))
    hostile_trees.plant(source, outside, seed)
    give_all(source, FETCHER)
    give_new_directory(target, user(OWNER))

    assert hand_over(source, target) == (0, 0)

    for path in target.rglob("*"):
        status = path.lstat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o7000) == (OWNER, OWNER, 0)
        assert path.is_symlink() or path.is_file() or path.is_dir()
        # A loop leads nowhere.
        with suppress(OSError, RuntimeError):
            assert path.resolve().is_relative_to(target)
    assert is_untouched(outside)
    for tree in (source, target):
        assert remove_tree(tree) is None
        assert not tree.exists()
    assert is_untouched(outside)


@pytest.mark.parametrize("seed", range(ARCHIVES))
def test_a_hostile_archive_makes_nothing_outside(seed: int, open_directory: Path, outside: Path) -> None:
    target = open_directory / "target"
    give_new_directory(target, user(OWNER))
    sent = open_directory / "archive"
    sent.write_bytes(hostile_trees.archive(outside, seed))

    with sent.open("rb") as archive:
        code, said = run_tool("unpack", target, OWNER, archive)

    assert code in (0, 1), said
    assert "Traceback" not in said
    assert is_untouched(outside)
    assert sorted(path.name for path in open_directory.iterdir()) == ["archive", "outside", "target"]
    for path in target.rglob("*"):
        assert path.is_symlink() or path.is_file() or path.is_dir()
        with suppress(OSError, RuntimeError):
            assert path.resolve().is_relative_to(target)
    assert remove_tree(target) is None


SWAPPER = """
import os, sys
os.chdir(sys.argv[1])
print("ready", flush=True)
while True:
    try:
        os.mkdir("swapped")
        open("swapped/file", "w").close()
        os.rename("swapped", "other")
        os.symlink(sys.argv[2], "swapped")
        os.rename("swapped", "tree")
        os.unlink("tree")
    except OSError:
        for name in ("swapped", "tree", "other/file"):
            try:
                os.unlink(name)
            except OSError:
                pass
        try:
            os.rmdir("other")
        except OSError:
            pass
"""


@pytest.fixture
def swapped(open_directory: Path, outside: Path) -> Iterator[Path]:
    """A directory in which its user swaps directories for links, and back, again and again."""
    tree = open_directory / "tree"
    give_new_directory(tree, user(OWNER))
    with subprocess.Popen(
        ["/usr/bin/python3", "-c", SWAPPER, str(tree), str(outside)],
        stdout=subprocess.PIPE,
        user=OWNER,
        group=OWNER,
        extra_groups=[],
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield tree
        process.kill()


def test_swaps_during_removal_lead_nowhere(swapped: Path, outside: Path) -> None:
    for _ in range(20):
        run_tool("remove", swapped, OWNER)
        assert is_untouched(outside)


def test_what_cannot_be_removed_is_a_sentence(open_directory: Path) -> None:
    tree = open_directory / "tree"
    give_new_directory(tree, user(OWNER))
    (tree / "of-root").mkdir()
    (tree / "of-root" / "file").touch()

    problem = remove_tree(tree)

    assert problem is not None
    assert problem.endswith("'of-root': it belongs to another user")
    assert (tree / "of-root" / "file").exists()


# -- who fetches, and what that user has


def open_files() -> list[str]:
    """Return what this process has open, without the directory that is looked into."""
    found = []
    for path in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.append(str(path.readlink()))
    return found


class Looker:
    """A source that notes what the process that fetches it is and finds."""

    def fetch(self, context: JobContext) -> Project:
        """Write down what there is."""
        home = Path(os.environ["HOME"])
        found = {
            "ids": [*os.getresuid(), *os.getresgid(), *os.getgroups()],
            "home": str(home),
            "credentials": sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()),
            "descriptors": open_files(),
            "key": context.api_key,
        }
        (context.work / "found.json").write_text(json.dumps(found))
        return Project(context.work, ("true",))


@pytest.fixture
def look(
    open_directory: Path, make_context: Callable[..., JobContext], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, object]]:
    """Fetch with :class:`Looker` under a policy; returns what it found."""
    home = open_directory / "agents-home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".git-credentials").write_text("https://me:secret@example.com\n")
    (home / ".ssh" / "id_ed25519").write_text("a key")
    home.chmod(0o700)
    monkeypatch.setenv("HOME", str(home))

    def do(**rules: bool) -> dict[str, object]:
        directory = open_directory / "job"
        directory.mkdir(mode=0o711)
        users = {
            "user": numbered_user(OWNER, str(directory)),
            "fetch_user": numbered_user(FETCHER, f"{directory}/{FETCH_DIRECTORY}"),
        }
        context = make_context(directory=str(directory), policy=PolicyRules(**rules), **users)
        make_directories(context.order, pytest.fail)
        project = fetch(context, Looker())
        assert project == Project(directory / "work", ("true",))
        assert not (directory / FETCH_DIRECTORY).exists()
        assert (directory / "work" / "found.json").stat().st_uid == OWNER
        found: dict[str, object] = json.loads((directory / "work" / "found.json").read_bytes())
        return found

    return do


def test_a_source_is_fetched_by_a_user_who_is_neither_root_nor_the_job(look: Callable[..., dict[str, object]]) -> None:
    found = look()

    assert found["ids"] == [FETCHER] * 6
    assert found["credentials"] == []


def test_the_hosts_credentials_are_lent_where_the_policy_says_so(look: Callable[..., dict[str, object]]) -> None:
    assert look(git_credentials=True)["credentials"] == [".git-credentials", ".ssh/id_ed25519"]


def test_what_fetches_has_no_descriptor_of_the_worker(look: Callable[..., dict[str, object]]) -> None:
    with Path("/etc/shadow").open():
        descriptors = look()["descriptors"]

    assert isinstance(descriptors, list)
    assert not [name for name in descriptors if "shadow" in name]
