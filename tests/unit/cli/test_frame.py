"""The command line as a whole: help, exit codes, and the modules that it loads."""

import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from launchd.cli import COMMANDS, GROUPS, completion, main
from tests.unit.cli.conftest import Launchd


def test_help_lists_every_command(launchd: Launchd) -> None:
    answer = launchd("--help")

    assert answer.exit_code == 0
    assert all(f"  {name} " in answer.output for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_name_and_explains_itself(name: str, launchd: Launchd) -> None:
    command: click.Command = pkgutil.resolve_name(COMMANDS[name][0])

    assert command.name == name
    assert command.help
    assert launchd(name, "--help").exit_code == 0


def test_help_loads_none_of_the_commands() -> None:
    program = (
        "import json, sys; from launchd.cli import main; main(['--help'], standalone_mode=False);"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stderr))

    assert {"requests", "msgspec", "yaml", "psutil", "multiprocessing"}.isdisjoint(loaded)
    own = {f"launchd.cli.{name}" for name in ("lazy", "streams", "terminal")}
    assert {name for name in loaded if name.startswith("launchd.cli.")} == own


def test_an_unknown_command_is_a_usage_error(launchd: Launchd) -> None:
    answer = launchd("lunch")

    assert answer.exit_code == 2
    assert "No such command 'lunch'" in answer.stderr


def test_version() -> None:
    assert main.get_command(click.Context(main), "nothing") is None
    done = subprocess.run([sys.executable, "-m", "launchd", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("launchd, version ")


def test_the_server_says_which_package_it_lacks(launchd: Launchd, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("launchd.server")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)

    answer = launchd("server", "--data-dir", "data")

    assert answer.exit_code == 1
    assert answer.stderr.startswith("Error: The queue server needs the Python package uvicorn")


def test_a_closed_pipe_is_no_traceback() -> None:
    command = f"{sys.executable} -m launchd --help | true"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)

    assert done.stderr == ""


def test_a_directory_that_cannot_be_used_is_named_in_a_sentence(launchd: Launchd) -> None:
    answer = launchd("up", "--state-dir", "/proc/here")

    assert answer.exit_code == 1
    assert answer.stderr == "Error: /proc/here cannot be used: No such file or directory.\n"


def test_no_command_stands_in_two_groups() -> None:
    assert len(COMMANDS) == sum(map(len, GROUPS.values()))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("lanch",), "No such command 'lanch'. Did you mean 'launch'?"),
        (("launch", "echo", "hello"), "For a command, write: launchd launch -- echo hello"),
        (("launch", "--", "a && b"), "For a line of a shell, write: launchd launch -- sh -c 'a && b'"),
        (("help", "stop", "x"), "`launchd stop` has no commands below it."),
    ],
)
def test_a_slip_is_answered_by_what_to_write(words: tuple[str, ...], said: str, launchd: Launchd) -> None:
    answer = launchd(*words)
    assert (answer.exit_code, said in answer.stderr) == (2, True), answer.stderr


def test_a_script_is_launched_with_its_directory(tmp_path: Path, launchd: Launchd) -> None:
    (tmp_path / "train.py").write_text("")
    answer = launchd("launch", str(tmp_path / "train.py"))
    assert f"launchd launch {tmp_path} -E 'python train.py'" in answer.stderr


def test_help_and_version_have_short_words(launchd: Launchd) -> None:
    shown = launchd("help", "queue", "create")
    assert shown.output.startswith("Usage: launchd queue create [OPTIONS] NAME")
    assert launchd("-V").output.startswith("launchd, version ")


@pytest.mark.parametrize(("shell", "word"), [("bash", "'two words'"), ("zsh", "two words"), ("fish", "two words")])
def test_a_name_with_a_space_is_completed_as_one_word(monkeypatch: pytest.MonkeyPatch, shell: str, word: str) -> None:
    monkeypatch.setenv("_LAUNCHD_COMPLETE", f"{shell}_complete")
    complete = completion.from_host(lambda _given: [("two words", ""), ("other", "")])
    found = complete(click.Context(click.Command("show")), click.Argument(["name"]), "two")
    assert [item.value for item in found] == [word]


def test_a_group_alone_shows_its_help_as_it_is(launchd: Launchd) -> None:
    assert launchd("queue").stderr == launchd("queue", "--help").stdout


@pytest.mark.parametrize("words", ["--help", "config show", "launch --help"])
def test_what_takes_no_output_is_told_in_a_sentence(words: str) -> None:
    command = [sys.executable, "-m", "launchd", *words.split()]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)

    sentence = "Error: The output cannot be written: No space left on device.\n"
    assert (done.returncode, done.stderr) == (1, sentence)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_failure(closed: str, tmp_path: Path) -> None:
    found = tmp_path / "exit-code"
    line = f"'{sys.executable}' -m launchd config show {closed}; echo $? > '{found}'"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)

    assert found.read_text() == "0\n"
    assert "Traceback" not in done.stderr
    assert bool(done.stdout) == (">&-" not in closed.split())
