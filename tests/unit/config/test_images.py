"""Addresses of image repositories: accepted with nested paths, ports and dashes, refused where no push could work."""

import pytest

from ipc.settings import RegistryConfig
from launchd.config.images import image_repository, push_target, registry_of
from tests.unit.config.conftest import Read


@pytest.mark.parametrize(
    ("address", "kind", "repository"),
    [
        ("https://123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/a", "ecr", None),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/a", "ecr", None),
        ("https://eu-docker.pkg.dev/my.org/repo/nested/image", "gcr", None),
        ("https://my-registry.azurecr.io/a/b/", "acr", "my-registry.azurecr.io/a/b"),
        ("registry.example:5000/x", None, None),
    ],
)
def test_repositories_are_known_by_their_host(address: str, kind: str | None, repository: str | None) -> None:
    assert registry_of(address) == kind
    assert image_repository(address) == (repository or address.removeprefix("https://"))


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/a:1", "must not have a tag"),
        ("registry.example:5000/x@sha256:0", "must not have a tag"),
        ("eu-docker.pkg.dev/project/repository", "must name an image"),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "must name a repository"),
        ("name.azurecr.io", "must name a repository"),
        ("", "must not be empty"),
    ],
)
def test_addresses_that_cannot_be_pushed_to_are_refused(address: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        image_repository(address)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("", None),
        ("registry: {type: local}", None),
        ("builder: {type: docker, destination: r.example/x}", RegistryConfig("plain", "r.example/x")),
        ("registry: {uri: r.example/x}", RegistryConfig("plain", "r.example/x")),
        (
            "registry: {type: ecr, uri: a.example/x}\nbuilder: {type: docker, destination: name.azurecr.io/y}",
            RegistryConfig("acr", "name.azurecr.io/y"),
        ),
        (
            "registry: {type: ecr, account_id: '123456789012', repository: r}\nenvironment: {type: aws, region: eu-1}",
            RegistryConfig(
                "ecr",
                "123456789012.dkr.ecr.eu-1.amazonaws.com/r",
                account_id="123456789012",
                repository="r",
            ),
        ),
        (
            "registry: {type: gcr, project: p, region: eu, repository: r, image-name: i}",
            RegistryConfig("gcr", "eu-docker.pkg.dev/p/r/i", region="eu", repository="r", image_name="i", project="p"),
        ),
        ("registry: {type: ecr, repository: r}", RegistryConfig("ecr", repository="r")),
    ],
)
def test_images_are_pushed_to_where_the_configuration_says(
    read: Read, text: str, target: RegistryConfig | None
) -> None:
    config = read(text).config

    assert push_target(config.builder, config.registry, config.environment) == target
