"""Paths of the host are followed to their ends; files with variables are read as they are meant."""

import os
from pathlib import Path

import pytest

from ipc.errors import InvalidSpec
from ipc.policy_rules import ContainerRules
from workers.docker import host_paths
from workers.docker.flags import translate
from workers.docker.request import ContainerRequest


def resolved(**args: object) -> ContainerRequest:
    return host_paths.resolve(translate(args))


def test_links_are_followed_to_their_end(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    (tmp_path / "loop").symlink_to("loop")

    request = resolved(volume=[f"{tmp_path}/link:/a", f"{tmp_path}/loop:/b", f"{tmp_path}/nothing:/c"])

    assert [bind.source.resolved for bind in request.binds] == [str(tmp_path / "data"), None, None]


def test_granted_paths_are_followed_too(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    rules = ContainerRules(mounts=(f"{tmp_path}/link:rw", "/no/such"), env_files=(f"{tmp_path}/link/",))

    followed = host_paths.resolve_rules(rules)

    assert followed.mounts == (f"{tmp_path}/data:rw", "/no/such")
    assert followed.env_files == (f"{tmp_path}/data",)


def test_what_is_mounted_below_is_seen() -> None:
    (root, own) = resolved(volume=["/:/a", f"{os.path.realpath('/proc/self/fd')}:/b"]).binds

    assert root.has_mounts_below
    assert not own.has_mounts_below


def test_files_come_before_variables_and_later_ones_win(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("# words\n\n  A=from file\nB=1=2\nHOSTS\nGONE\n")
    request = resolved(**{"env-file": str(file), "env": ["A=own", "SHELL"]})

    assert list(host_paths.bare_names(request)) == ["HOSTS", "GONE"]
    assert host_paths.read_variables(request, {"HOSTS": "h", "SHELL": "sh"}) == {
        "A": "own",
        "B": "1=2",
        "HOSTS": "h",
        "SHELL": "sh",
    }


@pytest.mark.parametrize("kind", ["directory", "fifo", "bytes", "huge", "link"])
def test_what_is_no_file_of_variables_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "env"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("/etc/passwd")
    else:
        path.write_bytes(b"A=\xff\n" if kind == "bytes" else b"A" * (host_paths.MAX_ENV_FILE_BYTES + 1))
    # As it was when it was judged: the end of its path was the file itself.
    request = translate({"env-file": str(path)})

    with pytest.raises(InvalidSpec, match=f"The env-file {path} "):
        host_paths.read_variables(request, {})


def test_the_sockets_of_engines_are_known(tmp_path: Path) -> None:
    own = tmp_path / "docker.sock"

    assert {str(own), "/run/docker.sock"} <= set(host_paths.engine_sockets(str(own)))
    assert None not in host_paths.engine_sockets(None)
