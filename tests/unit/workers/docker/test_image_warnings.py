"""What a job is told of its image."""

import pytest

from workers.docker.engine import ContainerConfig, Image
from workers.docker.health import HealthCheck
from workers.docker.image_warnings import image_warnings
from workers.docker.images import parse_image
from workers.docker.request import ContainerRequest

NAME = parse_image("team/train:1")


def warnings(image: Image, architecture: str = "amd64") -> list[str]:
    return list(image_warnings(NAME, image, ContainerRequest(), architecture, 5.0))


@pytest.mark.parametrize(
    ("image", "host", "is_foreign"),
    [
        ("amd64", "amd64", False),
        ("386", "amd64", False),
        ("arm", "arm64", False),
        ("", "amd64", False),
        ("arm64", "", False),
        ("arm64", "amd64", True),
        ("amd64", "arm64", True),
        ("arm64", "arm", True),
    ],
)
def test_an_image_for_another_processor(image: str, host: str, is_foreign: bool) -> None:
    said = [
        f"The image docker.io/team/train:1 is made for {image}, and this host is {host}: its programs may not start."
    ]

    assert warnings(Image("a", architecture=image), host) == said * is_foreign


def test_one_that_has_its_health_looked_at_too_often() -> None:
    config = ContainerConfig(healthcheck=HealthCheck(["CMD", "true"], 1_000_000))

    (text,) = warnings(Image("a", config=config))
    assert text.startswith("The image docker.io/team/train:1 has its health checked every 0.001 s; ")
    assert warnings(Image("a", config=ContainerConfig())) == []
