"""Whether `launchd up` finds a container engine: by a question over a real socket."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from launchd.local.container_engine import runs_containers


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
        assert runs_containers({"DOCKER_HOST": f"unix://{path}"}) is found


def test_an_engine_answers_at_a_port() -> None:
    listening = socket.create_server(("127.0.0.1", 0))

    with answering(listening, b"HTTP/1.1 200 OK\r\n\r\n"):
        assert runs_containers({"DOCKER_HOST": f"tcp://127.0.0.1:{listening.getsockname()[1]}"})


@pytest.mark.parametrize("address", ["unix:///no/such.sock", "tcp://127.0.0.1:1", "ssh://host", "tcp://[", "nonsense"])
def test_where_none_answers_there_is_none(address: str) -> None:
    assert not runs_containers({"DOCKER_HOST": address})
