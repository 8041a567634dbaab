"""Whether `launchd up` finds a container engine: by a question over a real socket."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import pytest

from launchd.local.container_engine import why_no_containers, why_no_engine_is_asked


@contextmanager
def answering(listening: socket.socket, answer: bytes) -> Iterator[None]:
    """Answer one question at a socket."""

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            assert connection.recv(64).startswith(b"GET /_ping ")
            connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        listening.close()


@pytest.mark.parametrize(("line", "found"), [(b"HTTP/1.0 200 OK\r\n\r\nOK", True), (b"HTTP/1.0 500 No\r\n\r\n", False)])
def test_an_engine_answers_at_its_socket(tmp_path: Path, line: bytes, found: bool) -> None:
    path = tmp_path / "docker.sock"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()

    with answering(listening, line):
        why = why_no_containers({"DOCKER_HOST": f"unix://{path}"})
    assert why == (None if found else f"no container engine answers at unix://{path}.")


def test_an_engine_answers_at_a_port() -> None:
    listening = socket.create_server(("127.0.0.1", 0))

    with answering(listening, b"HTTP/1.1 200 OK\r\n\r\n"):
        assert why_no_containers({"DOCKER_HOST": f"tcp://127.0.0.1:{listening.getsockname()[1]}"}) is None


@pytest.mark.parametrize("address", ["unix:///no/such.sock", "tcp://127.0.0.1:1", "ssh://host", "tcp://[", "nonsense"])
def test_where_none_answers_there_is_none(address: str) -> None:
    assert why_no_containers({"DOCKER_HOST": address}) is not None


def test_without_the_package_for_engines_it_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "docker.sock"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()

    def none_is_installed(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", none_is_installed)
    with answering(listening, b"HTTP/1.0 200 OK\r\n\r\nOK"):
        why = why_no_containers({"DOCKER_HOST": f"unix://{path}"})

    assert why == why_no_engine_is_asked()
    assert why is not None
    assert why.startswith("the Python package docker is not installed. Install it with: ")
    assert "-r requirements/docker.lock" in why
