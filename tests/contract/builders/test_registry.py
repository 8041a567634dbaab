"""Debian's docker-registry, as it is asked for images: plain, with a password, with a certificate of its own."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from ipc.settings import RegistryAccess, RegistryConfig
from tests.support.job_contexts import Heard, heard, make_context
from tests.support.registries import PASSWORD, USER, Buildah, TestRegistry, running_registry
from workers.context import JobContext
from workers.registries import Registry, RegistryError, load_registry

__all__ = ["Heard", "heard", "make_context"]

pytestmark = pytest.mark.engine

Start = Callable[..., TestRegistry]
Open = Callable[..., Registry]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:
        yield lambda **how: stack.enter_context(running_registry(tmp_path / "registry", **how))


@pytest.fixture
def by_hand(tmp_path: Path) -> Buildah:
    return Buildah(tmp_path / "by-hand")


@pytest.fixture
def opened(make_context: Callable[..., JobContext], tmp_path: Path) -> Open:
    numbers = count(1)

    def make(running: TestRegistry, **access: object) -> Registry:
        given = {"docker_config": str(tmp_path / "config.json"), **access}
        registry = RegistryConfig("plain", f"{running.name}/team/x")
        name = f"launchd-0123456789abcdef-{next(numbers)}"
        order = make_context(name, registry=registry, registry_access=RegistryAccess(**given)).order
        return load_registry(order, lambda _seconds: None)

    return make


def other_address() -> str:
    """Return an address of this machine that is not its loopback interface's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Nothing is sent: the kernel says by which address it would be.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has the loopback interface alone")
        return str(probe.getsockname()[0])


@pytest.mark.parametrize("form", ["oci", "v2s2"])
def test_an_image_of_either_form_is_found_and_another_one_is_not(
    start: Start, opened: Open, by_hand: Buildah, form: str
) -> None:
    running = start()
    reference = f"{running.name}/team/x:1"
    by_hand.push_base(reference, f"--format={form}")

    digest = opened(running).digest(reference)

    assert digest is not None
    assert digest.startswith("sha256:")
    assert opened(running).digest(f"{running.name}/team/x@{digest}") == digest
    assert opened(running).digest(f"{running.name}/team/x:2") is None
    assert opened(running).digest(f"{running.name}/team/y:1") is None


def test_a_password_of_dockers_configuration_opens_it(
    start: Start, opened: Open, by_hand: Buildah, tmp_path: Path
) -> None:
    running = start(password=True)
    reference = f"{running.name}/team/x:1"
    by_hand.push_base(reference, by_hand.login(running.name))
    with pytest.raises(RegistryError, match="asks for a user and a password"):
        opened(running).digest(reference)

    login = {"username": USER, "password": PASSWORD}
    (tmp_path / "config.json").write_text(json.dumps({"auths": {running.name: login}}))

    assert opened(running).digest(reference) is not None


def test_a_certificate_of_its_own_has_to_be_named(start: Start, opened: Open) -> None:
    running = start(host=other_address(), tls=True)
    reference = f"{running.name}/team/x:1"

    with pytest.raises(RegistryError, match="cannot be trusted") as caught:
        opened(running).digest(reference)
    assert "launchd.registry.ca_file" in str(caught.value.hint)
    assert opened(running, ca_file=str(running.ca_file)).digest(reference) is None
    assert opened(running, insecure=True).digest(reference) is None


def test_plain_http_elsewhere_has_to_be_allowed(start: Start, opened: Open) -> None:
    running = start(host=other_address())
    reference = f"{running.name}/team/x:1"

    with pytest.raises(RegistryError, match="cannot be trusted"):
        opened(running).digest(reference)
    assert opened(running, insecure=True).digest(reference) is None
