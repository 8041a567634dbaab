"""How the API of a cluster is reached: by TLS, through proxies, with credentials that end, over kept connections."""

import json
import select
import socket
import socketserver
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from ipc.errors import HostError, RunnerUnavailable
from tests.support.http_servers import LocalServer, QuietHandler, serving
from tests.support.registries import make_certificate
from tests.support.waiting import wait_until
from workers.kubernetes.access import Access
from workers.kubernetes.api import KubernetesApi


class Cluster(LocalServer):
    """An API that says what it was asked; ``connections`` counts how often it was connected to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(_Handler)
        self.connections = 0
        self.open: set[socket.socket] = set()

    def hang_up(self) -> None:
        for connection in list(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(QuietHandler):
    server: Cluster

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1
        self.server.open.add(self.connection)

    def finish(self) -> None:
        super().finish()
        self.server.open.discard(self.connection)

    def do_GET(self) -> None:  # noqa: N802 (the name that http.server looks for)
        certificate = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
        said = {"path": self.path, "authorization": self.headers["Authorization"], "certificate": bool(certificate)}
        self.answer(200, json.dumps(said).encode())


@pytest.fixture
def plain() -> Iterator[Cluster]:
    with serving(Cluster()) as running:
        yield running


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1, which is an authority as well."""
    return make_certificate(tmp_path_factory.mktemp("pair"), "127.0.0.1")


@pytest.fixture
def cluster(pair: Path) -> Iterator[Cluster]:
    """An API by TLS, which asks who comes."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pair))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(pair, pair.with_suffix(".key"))
    server = Cluster()
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with serving(server) as running:
        yield running


class _Proxy(socketserver.ThreadingTCPServer):
    daemon_threads = True
    asked: bytes = b""


class _Tunnel(socketserver.StreamRequestHandler):
    server: _Proxy

    def handle(self) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.rfile.readline()
        self.server.asked = head
        host, _, port = head.split()[1].decode().rpartition(":")
        with socket.create_connection((host, int(port))) as far:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            pairs = {far: self.connection, self.connection: far}
            while True:
                for ready in select.select(list(pairs), [], [], 10)[0]:
                    data = ready.recv(1 << 16)
                    if not data:
                        return
                    pairs[ready].sendall(data)


@pytest.fixture
def proxy() -> Iterator[_Proxy]:
    with _Proxy(("127.0.0.1", 0), _Tunnel) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def config(directory: Path, server: str, cluster: dict[str, Any], user: dict[str, Any], **context: str) -> Access:
    """Return how the cluster is reached that a kubeconfig names."""
    path = directory / "kubeconfig"
    told = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "one", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "tests", "user": user}],
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "tests", **context}}],
        "current-context": "one",
    }
    path.write_text(json.dumps(told))
    return Access(str(path))


def secured(pair: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    own = {"client-certificate": str(pair), "client-key": str(pair.with_suffix(".key"))}
    return {"certificate-authority": str(pair)}, own


def address(cluster: Cluster, host: str = "127.0.0.1") -> str:
    return f"https://{host}:{cluster.server_port}"


def test_certificates_count_and_a_connection_is_kept(cluster: Cluster, pair: Path, tmp_path: Path) -> None:
    access = config(tmp_path, f"{address(cluster)}/clusters/one", *secured(pair), namespace="training")

    with closing(KubernetesApi(access)) as api:
        answers = [api.get("/version", pretty=True) for _ in range(3)]
        assert api.usual_namespace() == "training"

    assert answers == [{"path": "/clusters/one/version?pretty=true", "authorization": None, "certificate": True}] * 3
    assert cluster.connections == 1


def test_an_unknown_certificate_is_refused_and_another_name_of_the_server_counts(
    cluster: Cluster, pair: Path, tmp_path: Path
) -> None:
    of_cluster, own = secured(pair)

    with pytest.raises(RunnerUnavailable, match="its certificate is not accepted"):
        KubernetesApi(config(tmp_path, address(cluster, "localhost"), of_cluster, own)).get("/version")
    named = config(tmp_path, address(cluster, "localhost"), of_cluster | {"tls-server-name": "127.0.0.1"}, own)
    with closing(KubernetesApi(named)) as api:
        assert api.get("/version")["certificate"]


def test_a_proxy_leads_to_the_cluster(cluster: Cluster, pair: Path, proxy: _Proxy, tmp_path: Path) -> None:
    of_cluster, own = secured(pair)
    through = {"proxy-url": f"http://ada:p%40ss@127.0.0.1:{proxy.server_address[1]}"}

    with closing(KubernetesApi(config(tmp_path, address(cluster), of_cluster | through, own))) as api:
        assert api.get("/version")["path"] == "/version"

    assert proxy.asked.startswith(f"CONNECT 127.0.0.1:{cluster.server_port} ".encode())
    assert b"Proxy-Authorization: Basic YWRhOnBAc3M=\r\n" in proxy.asked


def test_a_proxy_of_another_kind_is_named(plain: Cluster, tmp_path: Path) -> None:
    access = config(tmp_path, plain.url, {"proxy-url": "socks5://127.0.0.1:1"}, {})

    with pytest.raises(HostError, match=r"http:// alone, and not by socks5://"):
        KubernetesApi(access).connect()


def test_a_token_that_ends_is_asked_for_again(plain: Cluster, tmp_path: Path) -> None:
    count = tmp_path / "count"
    program = tmp_path / "give_token.py"
    program.write_text(
        "import json, pathlib, sys\n"
        f"count = pathlib.Path({str(count)!r})\n"
        "count.write_text((count.read_text() if count.exists() else '') + 'x')\n"
        "token = f'token-{len(count.read_text())}'\n"
        "ends = '2020-01-01T00:00:00Z' if token == 'token-1' else '2100-01-01T00:00:00Z'\n"
        "status = {'token': token, 'expirationTimestamp': ends}\n"
        "kind = 'ExecCredential'\n"
        "print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1', 'kind': kind, 'status': status}))\n"
    )
    asks = {"apiVersion": "client.authentication.k8s.io/v1", "command": sys.executable, "args": [str(program)]}
    access = config(tmp_path, plain.url, {}, {"exec": asks | {"interactiveMode": "Never"}})

    with closing(KubernetesApi(access)) as api:
        api.connect()
        said = [api.get("/version")["authorization"] for _ in range(2)]

    assert said == ["Bearer token-2"] * 2


def test_a_connection_that_the_server_ended_is_made_again(plain: Cluster, tmp_path: Path) -> None:
    with closing(KubernetesApi(config(tmp_path, plain.url, {}, {"token": "secret"}))) as api:
        assert api.get("/version")["authorization"] == "Bearer secret"
        plain.hang_up()
        wait_until(lambda: not plain.open, what="the server has ended the connection")
        assert api.get("/version")["path"] == "/version"

    assert plain.connections == 2


def test_a_kubeconfig_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text("clusters: [")

    with pytest.raises(HostError, match="kubeconfig of this host cannot be used: while parsing"):
        KubernetesApi(Access(str(tmp_path / "kubeconfig"))).connect()
    with pytest.raises(HostError, match="missing of this host cannot be used: there is no such file"):
        KubernetesApi(Access(str(tmp_path / "missing"))).connect()


@pytest.mark.parametrize(
    ("current", "asked", "sentence"),
    [
        ("tests", "prodution", "it has no context prodution, and has the contexts: tests"),
        ("old", None, "it has no context old, and has the contexts: tests"),
        (None, None, "it says no current context, and has the contexts: tests"),
    ],
)
def test_a_context_that_is_not_there_is_named_with_those_that_are(
    tmp_path: Path, current: str | None, asked: str | None, sentence: str
) -> None:
    access = config(tmp_path, "http://127.0.0.1:9", {}, {"token": "secret"})
    assert access.config_file is not None
    file = Path(access.config_file)
    written = yaml.safe_load(file.read_text())
    (context,) = written["contexts"]
    context["name"], written["current-context"] = "tests", current
    file.write_text(json.dumps(written))

    with pytest.raises(HostError, match=sentence) as error:
        KubernetesApi(Access(str(file), asked)).connect()
    assert "launchd.kubernetes.context" in (error.value.hint or "")
