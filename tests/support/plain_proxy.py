"""A proxy before launchd's queue server that lets nothing through but what a W&B server would understand.

It answers introspections itself, from the recorded schema, so that who asks takes launchd's server for one of W&B's.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from graphql import execute_sync, parse, validate

from tests.support.http_servers import LocalServer, QuietHandler, serving
from tests.support.wandb_schema import modern_schema


class PlainProxy(LocalServer):
    """The proxy; ``foreign`` says what it did not let through, ``passed`` the operations that it did."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(_Handler)
        self.target = target
        self.foreign: list[str] = []
        self.passed: set[str] = set()


class _Handler(QuietHandler):
    server: PlainProxy

    def do_POST(self) -> None:  # noqa: N802 - the name that http.server looks for
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/graphql":
            self._ask(body)
        else:
            self._pass_on(body)

    def _ask(self, body: bytes) -> None:
        request = json.loads(body)
        document = parse(request["query"])
        errors = validate(modern_schema(), document)
        if errors:
            self.server.foreign += [error.message for error in errors]
            self._say(400, {"errors": [{"message": error.message} for error in errors]})
        elif "__type" in request["query"]:
            self._say(200, {"data": execute_sync(modern_schema(), document).data})
        else:
            self.server.passed.add(request["operationName"])
            self._pass_on(body)

    def _pass_on(self, body: bytes) -> None:
        headers = {name: self.headers[name] for name in ("Authorization", "Content-Type")}
        answer = requests.post(f"{self.server.target}{self.path}", data=body, headers=headers, timeout=60)
        self.answer(answer.status_code, answer.content)

    def _say(self, status: int, value: Any) -> None:
        self.answer(status, json.dumps(value).encode())


@contextmanager
def plain_proxy(target: str) -> Iterator[PlainProxy]:
    """A running proxy before the server at ``target``."""
    with serving(PlainProxy(target)) as proxy:
        yield proxy
