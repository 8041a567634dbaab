"""A registry that answers as a test wants: a script of statuses, with the requests that came."""

import base64
import json
import threading
from collections.abc import Mapping

import msgspec

from tests.support.http_servers import LocalServer, QuietHandler

DIGEST = "sha256:" + "0" * 64


class Answer(msgspec.Struct, frozen=True):
    """One answer. A status of 0 is none at all: the connection stays open until the test is over."""

    status: int = 200
    headers: Mapping[str, str] = msgspec.field(default_factory=lambda: {"Docker-Content-Digest": DIGEST})
    body: bytes = b""


class RegistryHandler(QuietHandler):
    server: "RegistryStub"

    def do_HEAD(self) -> None:  # noqa: N802 - the name in the standard library
        self._note()
        if not self.server.is_granted(self.headers.get("Authorization", "")):
            self.answer(401, b"", self.server.challenge())
            return
        answer = self.server.next_answer()
        if answer.status == 0:
            self.server.over.wait()
            self.close_connection = True
            return
        self.answer(answer.status, answer.body, answer.headers)

    def do_GET(self) -> None:  # noqa: N802 - the name in the standard library
        self._note()
        expected = base64.b64encode(f"{self.server.username}:{self.server.password}".encode()).decode()
        is_right = self.headers.get("Authorization", "") == f"Basic {expected}"
        self._give_token(is_right=is_right)

    def do_POST(self) -> None:  # noqa: N802 - the name in the standard library
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.requests.append((self.command, self.path, form))
        self._give_token(is_right=f"refresh_token={self.server.password}" in form)

    def _give_token(self, *, is_right: bool) -> None:
        self.answer(200 if is_right else 401, json.dumps({"access_token": "good"}).encode() if is_right else b"{}")

    def _note(self) -> None:
        self.server.requests.append((self.command, self.path, self.headers.get("Authorization", "")))


class RegistryStub(LocalServer):
    """Answers for manifests by ``answers``, the last one again and again; with ``password`` set it wants that."""

    handler: type[RegistryHandler] = RegistryHandler

    def __init__(
        self, *answers: Answer, password: str | None = None, bearer: bool = False, username: str = "ada"
    ) -> None:
        super().__init__(self.handler)
        self.username = username
        self.answers = list(answers) or [Answer()]
        self.password = password
        self.bearer = bearer
        self.requests: list[tuple[str, str, str]] = []
        self.over = threading.Event()

    @property
    def name(self) -> str:
        """The name that its images begin with."""
        return f"127.0.0.1:{self.server_port}"

    def hang_up(self) -> None:
        self.over.set()

    def next_answer(self) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def is_granted(self, authorization: str) -> bool:
        if self.password is None:
            return True
        if self.bearer:
            return authorization == "Bearer good"
        return authorization == "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()

    def challenge(self) -> dict[str, str]:
        how = f'Bearer realm="{self.url}/token",service="stub"' if self.bearer else 'Basic realm="stub"'
        return {"WWW-Authenticate": how}
