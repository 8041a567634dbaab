"""The documentation's proxies with TLS before the queue server: the real Caddy and the real nginx, by its examples."""

import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path

import pytest
import requests

from launchd.client.artifacts import download_artifact, upload_directory
from launchd.client.queue_server import QueueServer
from tests.support.registries import make_certificate, require
from tests.support.server import RunningServer, running_server
from tests.support.waiting import wait_until

DOCUMENT = Path(__file__).parents[2] / "docs" / "server.md"
HOST = "127.0.0.1"

#: What nginx needs around a file of sites-enabled, here without any place of the machine.
NGINX = """\
daemon off;
pid {directory}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/a;
    proxy_temp_path {directory}/b;
    fastcgi_temp_path {directory}/c;
    uwsgi_temp_path {directory}/d;
    scgi_temp_path {directory}/e;
    {example}
}}
"""
#: What keeps Caddy from a public authority of certificates and from other ports.
CADDY = "{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{example}"


def example(language: str, replaced: dict[str, str]) -> str:
    """Return the documentation's example with addresses and files of this test."""
    found = re.search(rf"```{language}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert found is not None
    text = found[1]
    for before, after in replaced.items():
        assert before in text
        text = text.replace(before, after)
    return text


@contextmanager
def running(command: list[str], directory: Path, port: int) -> Iterator[str]:
    """Run a proxy; yields its address."""
    environment = {"HOME": str(directory), "PATH": "/usr/bin:/bin"}
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        wait_until(lambda: answers(port) or process.poll() is not None, what="the proxy listens")
        assert process.poll() is None, (directory / "log").read_text()
        yield f"https://{HOST}:{port}"
    finally:
        process.terminate()
        process.wait(20)


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection((HOST, port), 1):
        return True
    return False


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind((HOST, 0))
        return int(listening.getsockname()[1])


@contextmanager
def nginx(directory: Path, backend: str) -> Iterator[str]:
    # Debian keeps it off the path of ordinary users.
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin") or require("nginx") or "nginx"
    port = free_port()
    replaced = {
        "listen 443 ssl": f"listen {HOST}:{port} ssl",
        "/etc/ssl/queues.example.pem": f"{directory}/tls.crt",
        "/etc/ssl/queues.example.key": f"{directory}/tls.key",
        "http://127.0.0.1:8780": backend,
    }
    settings = directory / "nginx.conf"
    settings.write_text(NGINX.format(directory=directory, example=example("nginx", replaced)))
    with running([program, "-p", str(directory), "-c", str(settings)], directory, port) as address:
        yield address


@contextmanager
def caddy(directory: Path, backend: str) -> Iterator[str]:
    require("caddy")
    port = free_port()
    own = f"https://{HOST}:{port} {{\n\ttls {directory}/tls.crt {directory}/tls.key"
    replaced = {"queues.example {": own, "127.0.0.1:8780": backend.removeprefix("http://")}
    settings = directory / "Caddyfile"
    settings.write_text(CADDY.format(example=example("caddyfile", replaced)))
    with running(["caddy", "run", "--adapter", "caddyfile", "--config", str(settings)], directory, port) as address:
        yield address


def links(address: str, key: str, artifact: str, headers: Mapping[str, str] | None = None) -> list[str]:
    """Return the links to the files of an artifact."""
    query = "query($id: ID!) { artifact(id: $id) { files { edges { node { directUrl } } } } }"
    body = {"query": query, "variables": {"id": artifact}}
    answer = requests.post(f"{address}/graphql", json=body, headers=headers, auth=("api", key), timeout=20)
    return [edge["node"]["directUrl"] for edge in answer.json()["data"]["artifact"]["files"]["edges"]]


@pytest.mark.parametrize("proxy", [nginx, caddy])
def test_links_to_files_go_through_the_proxy(
    queue_server: RunningServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    proxy: Callable[[Path, str], AbstractContextManager[str]],
) -> None:
    certificate = make_certificate(tmp_path, HOST)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    code = tmp_path / "code"
    code.mkdir()
    (code / "main.py").write_text("print()\n" * 200_000)
    with proxy(tmp_path, queue_server.url) as address, closing(QueueServer(address, queue_server.key)) as server:
        artifact = upload_directory(server, "me", "engine", "code-behind-a-proxy", code)
        download_artifact(server, artifact, tmp_path / "again")
        (link,) = links(address, queue_server.key, artifact)

    assert (tmp_path / "again" / "main.py").stat().st_size == (code / "main.py").stat().st_size
    assert link.startswith(f"{address}/storage/")


@pytest.mark.parametrize(("trusted", "scheme"), [((), "https"), (("--forwarded-allow-ips", "10.0.0.0/8"), "http")])
def test_only_a_trusted_proxy_is_believed(tmp_path: Path, trusted: tuple[str, ...], scheme: str) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "main.py").touch()
    with running_server(tmp_path, *trusted, empty=True) as running:
        with closing(QueueServer(running.url, running.key)) as server:
            artifact = upload_directory(server, "me", "engine", "code", code)

        (link,) = links(running.url, running.key, artifact, {"X-Forwarded-Proto": "https"})

    assert link.startswith(f"{scheme}://")
