"""What a registry answers, in one clear sentence, asked again where that makes sense."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from ipc.errors import JobCancelled
from ipc.settings import RegistryAccess, RegistryConfig
from ipc.work_order import WorkOrder
from tests.support.http_servers import serving
from tests.support.registry_stub import DIGEST, Answer, RegistryStub
from workers.context import JobContext
from workers.registries import Registry, RegistryError, load_registry
from workers.registries.distribution import MANIFEST_TYPES, PAUSES

Make = Callable[..., RegistryStub]


class Pauses(list[float]):
    """How long was waited, without waiting."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
def stub() -> Iterator[Make]:
    with ExitStack() as stack:
        yield lambda *answers, **kwargs: stack.enter_context(serving(RegistryStub(*answers, **kwargs)))


@pytest.fixture
def opened(make_context: Callable[..., JobContext], pauses: Pauses, tmp_path: Path) -> Callable[..., Registry]:
    def make(name: str, **access: object) -> Registry:
        return load_registry(an_order(make_context, name, tmp_path, **access), pauses)

    return make


def an_order(make_context: Callable[..., JobContext], name: str, tmp_path: Path, **access: object) -> WorkOrder:
    given = {"docker_config": str(tmp_path / "none.json"), "timeout_seconds": 5.0, **access}
    registry = RegistryConfig("plain", f"{name}/team/x")
    return make_context(registry=registry, registry_access=RegistryAccess(**given)).order


def with_password(tmp_path: Path, password: str = "secret") -> dict[str, str]:
    path = tmp_path / "password"
    path.write_text(f"{password}\n")
    path.chmod(0o600)
    return {"username": "ada", "password_file": str(path)}


def test_the_digest_is_that_of_the_manifest_of_any_kind(stub: Make, opened: Callable[..., Registry]) -> None:
    server = stub()

    assert opened(server.name).digest(f"{server.name}/team/x:1") == DIGEST
    assert server.requests[-1] == ("HEAD", "/v2/team/x/manifests/1", "")
    assert any(".oci." in kind for kind in MANIFEST_TYPES)
    assert any("docker.distribution" in kind for kind in MANIFEST_TYPES)


def test_there_is_none_where_the_registry_says_so(stub: Make, opened: Callable[..., Registry], pauses: Pauses) -> None:
    server = stub(Answer(404))

    assert opened(server.name).digest(f"{server.name}/team/x:1") is None
    assert pauses == []


@pytest.mark.parametrize("bearer", [False, True], ids=["basic", "bearer"])
def test_a_user_and_a_password_are_shown_when_asked_for(
    stub: Make, opened: Callable[..., Registry], tmp_path: Path, bearer: bool
) -> None:
    server = stub(password="secret", bearer=bearer)

    assert opened(server.name, **with_password(tmp_path)).digest(f"{server.name}/team/x:1") == DIGEST
    assert server.requests[0][2] == ""


def test_an_identity_token_is_exchanged(stub: Make, opened: Callable[..., Registry], tmp_path: Path) -> None:
    server = stub(password="token1", bearer=True)
    config = tmp_path / "config.json"
    config.write_text(f'{{"auths": {{"{server.name}": {{"identitytoken": "token1"}}}}}}')

    assert opened(server.name, docker_config=str(config)).digest(f"{server.name}/team/x:1") == DIGEST


@pytest.mark.parametrize("bearer", [False, True], ids=["basic", "bearer"])
def test_a_wrong_password_is_a_sentence_without_it(
    stub: Make, opened: Callable[..., Registry], tmp_path: Path, bearer: bool
) -> None:
    server = stub(password="secret", bearer=bearer)

    with pytest.raises(RegistryError) as caught:
        opened(server.name, **with_password(tmp_path, "wrong")).digest(f"{server.name}/team/x:1")

    assert caught.value.message == f"The registry {server.name} refused this host's user or password (401)."
    assert "wrong" not in caught.value.report().sentence()


def test_a_registry_that_wants_a_user_where_there_is_none_is_a_sentence(
    stub: Make, opened: Callable[..., Registry]
) -> None:
    server = stub(password="secret")

    with pytest.raises(RegistryError, match="asks for a user and a password, and this host has none for it"):
        opened(server.name).digest(f"{server.name}/team/x:1")


def test_a_password_does_not_go_to_another_registry(
    stub: Make, opened: Callable[..., Registry], tmp_path: Path
) -> None:
    own, other = stub(), stub(password="secret")

    with pytest.raises(RegistryError, match="this host has none for it"):
        opened(own.name, **with_password(tmp_path)).digest(f"{other.name}/team/x:1")


def test_it_is_asked_again_as_late_as_it_wants(stub: Make, opened: Callable[..., Registry], pauses: Pauses) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    server = stub(Answer(429, {"Retry-After": "17"}), Answer(503, {"Retry-After": soon}), Answer(500, {}), Answer())

    assert opened(server.name).digest(f"{server.name}/team/x:1") == DIGEST
    assert pauses[0] == 17
    assert 20 < pauses[1] <= 30
    assert pauses[2] == PAUSES[2]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Answer(429, {"Retry-After": "999999"}), "takes no more requests from this host for now (429). It was asked 4"),
        (Answer(500, {}), "failed (500). It was asked 4 times for"),
    ],
)
def test_one_that_never_answers_well_is_a_sentence(
    stub: Make, opened: Callable[..., Registry], pauses: Pauses, answer: Answer, sentence: str
) -> None:
    server = stub(answer)

    with pytest.raises(RegistryError) as caught:
        opened(server.name).digest(f"{server.name}/team/x:1")

    assert sentence in caught.value.message
    assert max(pauses) <= 60


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Answer(403, {}), "does not let this host's user look at images"),
        (Answer(400, {}), "answered with 400 when asked for the manifest"),
        (Answer(200, {}), "does not say by which digest"),
    ],
)
def test_a_refusal_is_a_sentence_at_once(
    stub: Make, opened: Callable[..., Registry], pauses: Pauses, answer: Answer, sentence: str
) -> None:
    server = stub(answer)

    with pytest.raises(RegistryError) as caught:
        opened(server.name).digest(f"{server.name}/team/x:1")

    assert sentence in caught.value.message
    assert pauses == []


def test_one_that_hangs_is_given_up(stub: Make, opened: Callable[..., Registry]) -> None:
    server = stub(Answer(0))

    with pytest.raises(RegistryError, match=r"gave no answer within 0.3 s\."):
        opened(server.name, timeout_seconds=0.3).digest(f"{server.name}/team/x:1")


def test_one_that_is_not_there_is_asked_again(opened: Callable[..., Registry], pauses: Pauses) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        name = f"127.0.0.1:{free.getsockname()[1]}"

    with pytest.raises(RegistryError, match=r"cannot be reached: Connection refused\. It was asked 4 times"):
        opened(name).digest(f"{name}/team/x:1")
    assert pauses == list(PAUSES)


def test_a_stop_ends_the_waiting(stub: Make, make_context: Callable[..., JobContext], tmp_path: Path) -> None:
    server = stub(Answer(500, {}))

    def stopped(_seconds: float) -> None:
        raise JobCancelled("The job was stopped.")

    registry = load_registry(an_order(make_context, server.name, tmp_path), stopped)
    with pytest.raises(JobCancelled):
        registry.digest(f"{server.name}/team/x:1")
    assert len([one for one in server.requests if one[0] == "HEAD"]) == 1


def test_plain_http_is_for_loopback_alone_unless_it_is_allowed(
    stub: Make, opened: Callable[..., Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = stub()
    monkeypatch.setattr("workers.registries.distribution.is_loopback", lambda _name: False)

    with pytest.raises(RegistryError, match="cannot be trusted"):
        opened(server.name).digest(f"{server.name}/team/x:1")


def test_a_token_server_elsewhere_over_plain_http_gets_no_password(
    stub: Make, opened: Callable[..., Registry], tmp_path: Path
) -> None:
    server = stub(Answer(401, {"WWW-Authenticate": 'Bearer realm="ftp://elsewhere/token"'}))

    with pytest.raises(RegistryError, match="names no token server that could be trusted"):
        opened(server.name, **with_password(tmp_path)).digest(f"{server.name}/team/x:1")
