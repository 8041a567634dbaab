"""Logging in, and the commands that manage keys, users, teams and service accounts, against a real server."""

import configparser
import netrc
import stat
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from click.testing import CliRunner, Result

from launchd.cli import main
from launchd.client.credentials import find_api_key, find_base_url
from launchd.humanize import local_zone
from tests.support.server import RunningServer, fresh_name
from tests.support.waiting import wait_until
from tests.unit.cli.conftest import Launchd

Login = Callable[..., Result]


@pytest.fixture
def login(server: RunningServer) -> Login:
    """`launchd login` with a key on standard input."""

    def run(*arguments: str, key: str = server.key, host: str = server.url) -> Result:
        return CliRunner().invoke(main, ["login", "--host", host, *arguments], input=key, prog_name="launchd")

    return run


def test_login_writes_what_clients_of_every_version_read(login: Login, server: RunningServer, tmp_path: Path) -> None:
    answer = login()

    assert (answer.exit_code, server.key in answer.output) == (0, False)
    assert f"Logged in at {server.url} as me." in answer.output
    parts = urlsplit(server.url)
    hosts = netrc.netrc(tmp_path / ".netrc").hosts
    assert {parts.netloc, parts.hostname} <= hosts.keys(), "0.31 reads the first, 0.20 the second"
    assert all(hosts[name] == ("user", "", server.key) for name in (parts.netloc, parts.hostname or ""))
    assert requests.utils.get_netrc_auth(server.url) == ("user", server.key), "as wandb 0.20 looks it up"
    settings = configparser.ConfigParser()
    settings.read(tmp_path / ".config/wandb/settings")
    assert settings["default"]["base_url"] == server.url
    for path in (tmp_path / ".netrc", tmp_path / ".config/wandb/settings"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_after_login_no_variable_is_needed(
    login: Login, launchd: Launchd, server: RunningServer, tmp_path: Path
) -> None:
    login()
    environ = {"HOME": str(tmp_path)}

    assert (find_base_url(environ).url, find_api_key(server.url, environ).key) == (server.url, server.key)
    expected = launchd("whoami").output
    assert "user    me\nentity  me\nteams   -\n" in expected
    assert f"server  {server.url} (from {tmp_path / '.config/wandb/settings'})" in expected
    assert f"key     from {tmp_path / '.netrc'}" in expected
    assert server.key not in expected
    assert f"server  {server.url} (from --url)" in launchd("whoami", "--url", server.url).output
    assert f"server  {server.url} (from WANDB_BASE_URL)" in launchd("whoami", WANDB_BASE_URL=server.url).output


def test_login_keeps_what_else_is_in_the_files(login: Login, server: RunningServer, tmp_path: Path) -> None:
    parts = urlsplit(server.url)
    (tmp_path / ".netrc").write_text(
        "# of the cluster\nmachine git.example.org login me password one\n"
        f"machine {parts.hostname} login user password old\n# kept\n"
        "machine other.example.org\n\tlogin me\n\tpassword two\ndefault login x password y\n"
    )
    settings = tmp_path / ".config/wandb/settings"
    settings.parent.mkdir(parents=True)
    settings.write_text("[default]\nproject = mine\nbase_url = http://old\n")

    assert [login().exit_code, login().exit_code] == [0, 0]

    hosts = netrc.netrc(tmp_path / ".netrc").hosts
    assert (hosts["git.example.org"][2], hosts["other.example.org"][2], hosts["default"][2]) == ("one", "two", "y")
    assert hosts[parts.hostname or ""][2] == server.key
    text = (tmp_path / ".netrc").read_text()
    assert ("# of the cluster" in text, "# kept" in text, "old" in text) == (True, True, False)
    assert text.count(server.key) == 2, "once for each of the two names"
    assert "project = mine" in settings.read_text()


@pytest.mark.parametrize(
    ("key", "host", "code", "expected"),
    [
        ("x" * 40, None, 1, "does not accept the API key"),
        ("", None, 1, "An API key is one word"),
        ("two words", None, 1, "An API key is one word"),
        (None, "http://127.0.0.1:1", 1, "cannot be reached"),
        (None, "127.0.0.1", 1, "is not the address of a queue server"),
    ],
)
def test_a_login_that_fails_writes_nothing(
    login: Login, tmp_path: Path, key: str | None, host: str | None, code: int, expected: str
) -> None:
    given = {name: value for name, value in (("key", key), ("host", host)) if value is not None}
    answer = login(**given)

    assert (answer.exit_code, answer.stderr.count("\n")) == (code, 1)
    assert expected in answer.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"[default\nbase_url=", b"\xff\xfe"])
def test_a_settings_file_that_is_none_is_named_and_kept(login: Login, tmp_path: Path, content: bytes) -> None:
    settings = tmp_path / ".config/wandb/settings"
    settings.parent.mkdir(parents=True)
    settings.write_bytes(content)

    answer = login()
    sentence = f"Error: {settings} is no settings file of W&B's clients: correct it, or move it away.\n"
    assert (answer.exit_code, answer.stderr) == (1, sentence)
    assert settings.read_bytes() == content
    assert not (tmp_path / ".netrc").exists()


def test_login_keeps_bytes_of_netrc_that_are_no_text(login: Login, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_bytes(b"# caf\xe9\nmachine a.example login me password one\n")

    assert login().exit_code == 0
    assert b"# caf\xe9\n" in (tmp_path / ".netrc").read_bytes()


def test_login_says_what_goes_before_it(login: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "other")
    assert login().stderr == "WANDB_API_KEY is set and goes before them.\n"


def test_a_user_without_a_name_is_not_made(at_server: Launchd) -> None:
    refused = at_server("user", "create", "")
    assert (refused.exit_code, "'' is no name for a user" in refused.stderr) == (1, True)


def test_people_from_their_making_to_their_leaving(at_server: Launchd) -> None:
    ada, vision = fresh_name("ada"), fresh_name("vision")
    key = at_server("user", "create", ada, "--email", "ada@example.org").stdout.strip()
    assert len(key) == 40
    assert at_server("team", "create", vision).output == f"Team {vision!r} was created.\n"
    assert (
        at_server("team", "add", vision, ada, "--role", "viewer").output == f"{ada!r} is a viewer of team {vision!r}.\n"
    )

    as_ada = {"WANDB_API_KEY": key}
    assert at_server("team", "list", **as_ada).output.split() == [ada, vision]
    shown = [line.split() for line in at_server("team", "show", vision, **as_ada).output.splitlines()]
    assert shown == [
        ["NAME", "ROLE", "KIND", "EMAIL"],
        [ada, "viewer", "user", "ada@example.org"],
        ["me", "admin", "user", "-"],
    ]
    refused = at_server("queue", "create", "q", "-e", vision, **as_ada)
    assert (refused.exit_code, "too low for this" in refused.stderr) == (1, True)
    assert [ada, "user", ada, "ada@example.org"] in [
        line.split() for line in at_server("user", "list").output.splitlines()
    ]

    assert at_server("team", "remove", vision, ada).exit_code == 0
    assert at_server("team", "show", vision, **as_ada).stderr == (
        f"Error: There is no team {vision!r} here that you belong to.\n"
    )
    again = at_server("team", "remove", vision, ada)
    assert again.stderr == f"Error: {ada!r} is no member of team {vision!r}.\n"


def test_a_service_account_acts_for_a_member(at_server: Launchd) -> None:
    team, robot = fresh_name("team"), fresh_name("robot")
    at_server("team", "create", team)
    assert at_server("service-account", "list", team).output == f"Team {team!r} has no service accounts.\n"
    key = at_server("service-account", "create", team, robot).stdout.strip()
    assert f"{robot}  member  service" in at_server("service-account", "list", team).output

    as_robot = {"WANDB_API_KEY": key, "WANDB_ENTITY": team}
    assert f"user    {robot}\nentity  {team}\n" in at_server("whoami", **as_robot).output
    assert at_server("queue", "create", "work", **as_robot).exit_code == 0
    assert at_server("key", "list", **as_robot).exit_code == 0
    assert at_server("whoami", **as_robot, WANDB_USERNAME="\u00fc").stderr.startswith("Error: '\u00fc' is no user name")


def test_keys_of_oneself(at_server: Launchd, launchd: Launchd, server: RunningServer) -> None:
    made = at_server("key", "create", "--description", "for ci", "--role", "viewer")
    assert made.stderr == "Keep this key well; it cannot be shown again.\n"
    key = made.stdout.strip()
    rows = [line.split() for line in at_server("key", "list").output.splitlines()]
    assert rows[0] == ["ID", "ROLE", "CREATED", local_zone(), "LAST", "USED", local_zone(), "DESCRIPTION"]
    row = next(row for row in rows if row[-2:] == ["for", "ci"])
    assert row[1] == "viewer"

    as_viewer = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": key}
    assert "may look, but not change" in launchd("queue", "create", "q", **as_viewer).stderr
    assert at_server("key", "revoke", row[0]).output == f"API key {row[0]} was revoked.\n"
    assert "does not accept the API key" in (refused := launchd("whoami", **as_viewer).stderr)
    assert refused.endswith(" The key is the one from WANDB_API_KEY.\n")
    assert at_server("key", "revoke", row[0]).exit_code == 1


def test_who_revokes_the_own_key_is_told_so(at_server: Launchd, launchd: Launchd, server: RunningServer) -> None:
    key = at_server("key", "create", "--description", "the last", "--role", "admin").stdout.strip()
    number = next(line.split()[0] for line in at_server("key", "list").output.splitlines() if "the last" in line)
    revoked = launchd("key", "revoke", number, WANDB_BASE_URL=server.url, WANDB_API_KEY=key)
    assert (revoked.exit_code, revoked.stdout) == (0, f"API key {number} was revoked.\n")
    assert revoked.stderr.startswith("It was the key that this command used")


def test_keys_of_agents(at_server: Launchd, launchd: Launchd, server: RunningServer) -> None:
    key = at_server("key", "create", "--role", "agent").stdout.strip()
    assert "  agent  " in at_server("key", "list").output
    as_agent = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": key}
    assert launchd("whoami", **as_agent).exit_code == 0
    refused = launchd("queue", "create", "q", **as_agent).stderr
    assert "This API key is an agent's, which may not call createDefaultResourceConfig. " in refused
    assert "'agent' is not one of" in at_server("team", "add", "vision", "ada", "--role", "agent").stderr


def test_an_administrator_resets_keys_and_their_owner_sees_it(at_server: Launchd, server: RunningServer) -> None:
    ada = fresh_name("ada")
    lost = at_server("user", "create", ada).stdout.strip()
    refused = at_server("key", "create", "--user", ada)
    assert "An administrator makes no further API keys" in refused.stderr
    made = at_server("user", "reset", ada, "--yes")
    assert made.stderr == f"API keys of {ada!r} were revoked: 1.\nHand over this key, for `launchd login`:\n"
    key = made.stdout.strip()
    assert "does not accept the API key" in at_server("whoami", WANDB_API_KEY=lost).stderr
    log = at_server("key", "log", WANDB_API_KEY=key).output
    assert "Reset the API keys: 1 were revoked, one was made." in log
    assert log == at_server("key", "log", "--user", ada).output
    told = f"The new key is on the server's host, in {server.data_dir}/reset-keys/{ada}.key: hand it over, then remove"
    # The use of the key is noted a moment later.
    wait_until(lambda: at_server("user", "reset", ada, "--yes").stdout == f"{told} the file.\n", 10)
    assert (
        at_server("key", "log").output
        == "There is nothing that others did to the API keys of 'me', as far as you may see.\n"
    )


def test_a_queue_is_opened_to_jobs(at_server: Launchd) -> None:
    name = fresh_name("queue")
    at_server("queue", "create", name)
    assert at_server("queue", "jobs", name, "--allow").output == f"Queue {name!r} of 'me' takes items from jobs now.\n"
    assert "no items from jobs now" in at_server("queue", "jobs", name, "--refuse").output
    assert (
        at_server("queue", "jobs", "none-such", "--allow").stderr == "Error: There is no queue 'none-such' of 'me'.\n"
    )


def test_accounts_are_deleted_after_a_question(at_server: Launchd) -> None:
    user, team, robot = fresh_name("user"), fresh_name("team"), fresh_name("robot")
    key = at_server("user", "create", user).stdout.strip()
    at_server("team", "create", team)
    at_server("service-account", "create", team, robot)

    asked = at_server("team", "delete", team)
    assert (asked.exit_code, "Nothing was done: there is no terminal to ask at. Add --yes." in asked.stderr) == (
        1,
        True,
    )
    assert f"Delete team '{team}' with its queues, service accounts, runs and artifacts?" in asked.output
    refused = at_server("user", "delete", "me", "--yes")
    assert refused.stderr == "Error: Another administrator has to delete your own account.\n"

    gone = [
        at_server("service-account", "delete", team, robot, "--yes").stdout,
        at_server("team", "delete", team, "--yes").stdout,
        at_server("user", "delete", user, "--yes").stdout,
    ]

    assert gone == [
        f"Service account '{robot}' of team '{team}' was deleted, with 1 API key.\n",
        f"Team '{team}' was deleted, with 0 queues and 0 service accounts.\n",
        f"User '{user}' was deleted, with 1 API key and 0 queues.\n",
    ]
    assert at_server("whoami", WANDB_API_KEY=key).exit_code == 1
    assert f"Deleted team {team}" in at_server("key", "log").stdout
    assert f"Deleted user {user}" in at_server("key", "log").stdout
