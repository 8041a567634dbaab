"""Which registry a job's images go to, and what they are called there."""

from collections.abc import Callable

import pytest

from ipc.errors import HostError
from ipc.settings import RegistryConfig
from workers.context import JobContext
from workers.docker.images import parse_image
from workers.registries import load_registry


def test_without_a_registry_images_stay_and_no_engine_asks_for_them(make_context: Callable[..., JobContext]) -> None:
    registry = load_registry(make_context().order)

    assert not registry.pushes
    assert registry.repository("Ada L.", "my_Project!") == "localhost/launchd/ada-l/my-project"
    assert registry.digest("localhost/launchd/ada/x:1") is None
    assert parse_image(f"{registry.repository('..', '')}:1").repository == "localhost/launchd/none/none"


@pytest.mark.parametrize(
    ("address", "repository"),
    [
        ("r.example:5000/team/x", "r.example:5000/team/x"),
        ("r.example:5000", "r.example:5000/ada/p"),
        ("me/images", "docker.io/me/images"),
    ],
)
def test_images_are_called_by_the_address(
    make_context: Callable[..., JobContext], address: str, repository: str
) -> None:
    registry = load_registry(make_context(registry=RegistryConfig("plain", address)).order)

    assert registry.pushes
    assert registry.repository("ada", "P") == repository


def test_a_clouds_registry_is_used_like_any_other(make_context: Callable[..., JobContext]) -> None:
    address = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team"
    registry = load_registry(make_context(registry=RegistryConfig("ecr", address)).order)

    assert registry.repository("ada", "p") == address


def test_a_registry_whose_place_is_not_told_is_a_sentence(make_context: Callable[..., JobContext]) -> None:
    with pytest.raises(HostError, match="does not say where its registry of the type acr is"):
        load_registry(make_context(registry=RegistryConfig("acr", repository="x")).order)


def test_an_address_that_is_none_is_a_sentence(make_context: Callable[..., JobContext]) -> None:
    with pytest.raises(HostError, match="is no name of a repository"):
        load_registry(make_context(registry=RegistryConfig("plain", "r.example/Team")).order)
