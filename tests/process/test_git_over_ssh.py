"""Repositories that a host reaches over ssh: a real ssh server, and jobs with users that have no password entry."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest

from tests.support.git_origin import Origin
from tests.support.job_numbers import NUMBERS, first_numbers
from tests.support.parts import missing_part
from tests.support.server import Account
from tests.support.testbed import Testbed, make_testbed
from tests.support.waiting import wait_until

pytestmark = pytest.mark.root

SSHD = "/usr/sbin/sshd"

POLICY = {"resources": ["local-process"], "run_as_users": first_numbers(len(NUMBERS)), "git_credentials": True}


class SshHost(msgspec.Struct, frozen=True):
    """Another host, which lets in who has the private key ``key``."""

    port: int
    key: Path
    known: str
    """A line for ``known_hosts``."""


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that other users may pass through, unlike pytest's own."""
    with TemporaryDirectory(prefix="launchd-ssh-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def ssh_host(open_directory: Path) -> Iterator[SshHost]:
    """A host with an ssh server on a free port of this one."""
    if shutil.which(SSHD) is None:
        missing_part("No ssh server is installed here (Debian: apt-get install openssh-server)")
    place = open_directory / "ssh-host"
    place.mkdir(mode=0o700)
    for name in ("host", "deploy"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / name], check=True)
    (place / "authorized").write_text((place / "deploy.pub").read_text())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = {
        "ListenAddress": f"127.0.0.1:{port}",
        "HostKey": place / "host",
        "AuthorizedKeysFile": place / "authorized",
        "PidFile": "none",
        "PermitRootLogin": "yes",
        "StrictModes": "no",
        "UsePAM": "no",
    }
    Path("/run/sshd").mkdir(exist_ok=True)
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    with (
        (place / "log").open("wb") as log,
        subprocess.Popen([SSHD, "-D", "-e", "-f", "/dev/null", *words], stderr=log) as server,
    ):
        try:
            wait_until(lambda: answers(port), what="the ssh server's answer")
            host_key = " ".join((place / "host.pub").read_text().split()[:2])
            yield SshHost(port, place / "deploy", f"[127.0.0.1]:{port} {host_key}\n")
        finally:
            server.terminate()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def home(open_directory: Path) -> Path:
    """The home directory of the agent's user, with an empty ``.ssh``."""
    home = open_directory / "home"
    (home / ".ssh").mkdir(mode=0o700, parents=True)
    return home


@pytest.fixture
def host(open_directory: Path, account: Account) -> Iterator[Testbed]:
    """A host whose agent has not been started."""
    with make_testbed(open_directory, account, launchd={"policy": POLICY}) as opened:
        yield opened


@pytest.fixture
def push(host: Testbed, open_directory: Path, ssh_host: SshHost) -> Callable[[], str]:
    """Pushes a job whose source lies on the other host, and waits for its end; returns its output."""
    origin = Origin(open_directory / "origin")
    origin.commit("print('from afar')")

    def push_and_wait() -> str:
        git: dict[str, Any] = {"repo": f"ssh://root@127.0.0.1:{ssh_host.port}{origin.path}", "version": "main"}
        item = host.push("python3", "main.py", git=git)
        [over] = host.wait_over([item])
        log = Path(host.job(item)["log_path"])
        return log.read_text() if over.state == "FINISHED" else str(host.job(item))

    return push_and_wait


def put(home: Path, ssh_host: SshHost, key_name: str, config: str = "", public: bool = False) -> None:
    """Give the agent's user a key and the other host's, as a person would."""
    shutil.copy(ssh_host.key, home / ".ssh" / key_name)
    (home / ".ssh" / key_name).chmod(0o600)
    if public:
        shutil.copy(ssh_host.key.with_suffix(".pub"), home / ".ssh" / f"{key_name}.pub")
    (home / ".ssh" / "known_hosts").write_text(ssh_host.known)
    if config:
        (home / ".ssh" / "config").write_text(config)


@pytest.mark.parametrize(
    ("key_name", "config", "public"),
    [
        pytest.param("id_ed25519", "", True, id="a usual name"),
        pytest.param("id_ed25519", "", False, id="a usual name without the public half"),
        pytest.param("deploy", "Host 127.*\n  IdentityFile ~/.ssh/deploy\n", False, id="a key of the configuration"),
    ],
)
def test_a_job_with_a_user_of_its_own_is_fetched_with_the_keys_of_the_host(
    key_name: str,
    config: str,
    public: bool,
    host: Testbed,
    home: Path,
    ssh_host: SshHost,
    push: Callable[[], str],
) -> None:
    put(home, ssh_host, key_name, config, public)
    host.start_agent(HOME=str(home))

    assert push() == "from afar\n"


def test_a_host_that_is_not_known_is_refused_with_the_words_of_ssh(
    host: Testbed, home: Path, ssh_host: SshHost, push: Callable[[], str]
) -> None:
    put(home, ssh_host, "id_ed25519")
    (home / ".ssh" / "known_hosts").write_text("")
    host.start_agent(HOME=str(home))

    assert "Host key verification failed" in push()


def test_without_the_policys_word_no_key_is_used(
    host: Testbed, home: Path, ssh_host: SshHost, push: Callable[[], str]
) -> None:
    put(home, ssh_host, "id_ed25519", public=True)
    host.configure(max_jobs=2, launchd={"policy": {**POLICY, "git_credentials": False}})
    host.start_agent(HOME=str(home))

    said = push()

    assert "Permission denied" in said or "Host key verification failed" in said
    assert "launchd.policy.git_credentials" in said


def test_the_keys_are_gone_when_the_source_is_there(
    host: Testbed, home: Path, ssh_host: SshHost, push: Callable[[], str]
) -> None:
    put(home, ssh_host, "id_ed25519")
    host.start_agent(HOME=str(home))
    push()

    secret = ssh_host.key.read_text().splitlines()[1]
    left = [Path(place, name) for place, _, names in os.walk(host.state_dir) for name in names]
    assert not [path for path in left if secret.encode() in path.read_bytes()]
