"""Azure as far as agents see it, on sockets: the identity of a machine or of a pod, a container registry, and blobs.

Written after Azure's references and what its SDK sends. The machine's identity answers as that of App Service does,
which alone can be had over plain HTTP; the registry and what knows pods speak TLS, since tokens are shown to them.
"""

import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.support.http_servers import LocalServer, QuietHandler, serving
from tests.support.registries import make_certificate
from tests.support.registry_stub import Answer, RegistryHandler, RegistryStub

USER = "00000000-0000-0000-0000-000000000000"
REGISTRY_TOKEN = "token-of-the-registry"
_HEADER = "secret-of-the-machine"
#: That of all emulators of Azure's storage.
_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class Azure(LocalServer):
    """Gives out tokens of the machine's identity, and keeps blobs; ``status`` of another value is all it answers."""

    def __init__(self) -> None:
        super().__init__(_Handler)
        self.status = 200
        self.resources: list[str] = []
        self.blobs: dict[str, bytes] = {}

    @property
    def token(self) -> str:
        return f"token-{len(self.resources)}"

    @property
    def variables(self) -> dict[str, str]:
        """What an agent on the machine has in its environment."""
        account = f"AccountName={_ACCOUNT};AccountKey={_KEY}"
        return {
            "IDENTITY_ENDPOINT": f"{self.url}/msi/token",
            "IDENTITY_HEADER": _HEADER,
            "AZURE_STORAGE_CONNECTION_STRING": f"{account};BlobEndpoint={self.url}/{_ACCOUNT};",
        }


class _Handler(QuietHandler):
    server: Azure

    def do_GET(self) -> None:  # noqa: N802 - the name in the standard library
        if self.server.status != 200 or self.headers.get("X-IDENTITY-HEADER") != _HEADER:
            self.answer(max(self.server.status, 400), b'{"error": "refused", "error_description": "No such identity"}')
            return
        self.server.resources.append(parse_qs(urlsplit(self.path).query)["resource"][0])
        ends = int(time.time()) + 3600
        found = {"access_token": self.server.token, "expires_on": str(ends), "token_type": "Bearer", "resource": "r"}
        self.answer(200, json.dumps(found).encode(), {"Content-Type": "application/json"})

    def do_PUT(self) -> None:  # noqa: N802 - the name in the standard library
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.server.status == 200:
            self.server.blobs[urlsplit(self.path).path.removeprefix(f"/{_ACCOUNT}/")] = body
        self.answer(201 if self.server.status == 200 else self.server.status, b"")


class AzureAuthority(LocalServer):
    """Gives tokens of Azure for the tokens of pods in ``known`` (workload identity), over TLS with an own certificate.

    ``asked`` are the addresses and forms of requests. The SDK takes no authority that speaks plain HTTP.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(_AuthorityHandler)
        self.certificate = make_certificate(directory, self.host)
        self.known: set[str] = set()
        self.asked: list[tuple[str, dict[str, str]]] = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, directory / "tls.key")
        self.socket = context.wrap_socket(self.socket, server_side=True)

    @property
    def url(self) -> str:
        return f"https://{self.host}:{self.server_port}"


class _AuthorityHandler(QuietHandler):
    server: AzureAuthority

    def do_POST(self) -> None:  # noqa: N802 - the name in the standard library
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        self.server.asked.append((self.path, form))
        found: dict[str, object] = {"access_token": f"token for {form['scope']}", "expires_in": 3600}
        is_known = form["client_assertion"] in self.server.known
        if not is_known:
            found = {
                "error": "invalid_client",
                "error_description": "AADSTS700213: No matching federated identity record found.",
            }
        answer = json.dumps(found | {"token_type": "Bearer"}).encode()
        self.answer(200 if is_known else 401, answer, {"Content-Type": "application/json"})


class _AcrHandler(RegistryHandler):
    server: "AcrStub"

    def do_POST(self) -> None:  # noqa: N802 - the name in the standard library
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.server.exchanged.append({name: values[0] for name, values in form.items()})
        self.answer(200, json.dumps({"refresh_token": REGISTRY_TOKEN}).encode())


class AcrStub(RegistryStub):
    """A registry of Azure's, over TLS: it takes its own token alone, which it gives for one of Azure's."""

    handler = _AcrHandler

    def __init__(self, directory: Path, *answers: Answer) -> None:
        super().__init__(*answers, username=USER, password=REGISTRY_TOKEN, bearer=True)
        self.exchanged: list[dict[str, str]] = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(make_certificate(directory, "127.0.0.1"), directory / "tls.key")
        self.socket = context.wrap_socket(self.socket, server_side=True)

    @property
    def url(self) -> str:
        return f"https://{self.name}"


@contextmanager
def azure() -> Iterator[Azure]:
    """Run the identity and the store of blobs while the block lasts."""
    with serving(Azure()) as server:
        yield server
