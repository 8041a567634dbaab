"""Artifact Registry and ACR: tokens of this host's own credentials, after what the administrator wrote down."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ipc.errors import HostError
from ipc.settings import EnvironmentConfig, RegistryAccess, RegistryConfig
from tests.support.azure import REGISTRY_TOKEN, USER, AcrStub, Azure
from tests.support.google_cloud import PROJECT, REGION, GoogleCloud, google_cloud
from tests.support.http_servers import serving
from tests.support.registry_stub import DIGEST, Answer, RegistryStub
from workers.context import JobContext
from workers.environments import CloudRefused
from workers.registries import Registry, RegistryError, load_registry

Open = Callable[..., Registry]


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GoogleCloud]:
    with google_cloud() as server:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(server.write_credentials(tmp_path)))
        yield server


@pytest.fixture
def opened(make_context: Callable[..., JobContext], tmp_path: Path) -> Open:
    def make(kind: str, address: str | None, docker: object = None, **parts: str) -> Registry:
        config = tmp_path / "docker.json"
        config.write_text(json.dumps(docker or {}))
        access = RegistryAccess(docker_config=str(config), timeout_seconds=5.0)
        environment = EnvironmentConfig("gcp", REGION, PROJECT) if kind == "gcr" else EnvironmentConfig("azure")
        registry = RegistryConfig(kind, address, **parts)
        order = make_context(registry=registry, registry_access=access, environment=environment).order
        return load_registry(order, lambda _seconds: None)

    return make


def test_artifact_registry_gets_an_access_token(cloud: GoogleCloud, opened: Open) -> None:
    with serving(RegistryStub(username="oauth2accesstoken", password="token-1", bearer=True)) as stub:
        registry = opened("gcr", f"{stub.name}/project/repository/nested/image")

        assert registry.digest(f"{stub.name}/project/repository/nested/image:1") == DIGEST
        assert registry.digest(f"{stub.name}/project/repository/nested/image:1") == DIGEST
    assert cloud.tokens == 1, "a token that is good is shown again"


@pytest.mark.usefixtures("cloud")
def test_an_image_that_is_not_there_is_none(opened: Open) -> None:
    missing = Answer(404, {})
    with serving(RegistryStub(missing, username="oauth2accesstoken", password="token-1", bearer=True)) as stub:
        assert opened("gcr", f"{stub.name}/p/r/image").digest(f"{stub.name}/p/r/image:1") is None


@pytest.mark.usefixtures("cloud")
def test_artifact_registrys_parts_make_its_address(opened: Open) -> None:
    registry = opened("gcr", None, repository="jobs", image_name="team/image")

    assert registry.repository("ada", "p") == "us-central1-docker.pkg.dev/team-project/jobs/team/image"


def test_parts_without_an_image_name_are_a_sentence(opened: Open) -> None:
    with pytest.raises(HostError, match="does not say where in Artifact Registry"):
        opened("gcr", None, repository="jobs")


def test_every_registry_of_google_gets_a_token_and_no_other(cloud: GoogleCloud, opened: Open) -> None:
    registry = opened("gcr", "us-docker.pkg.dev/p/r/image")

    found = registry.credentials("europe-docker.pkg.dev/p/r/base:1")
    assert found is not None
    assert (found.username, found.password) == ("oauth2accesstoken", cloud.last_token)
    assert registry.credentials("gcr.io/p/base:1") is not None
    assert registry.credentials("docker.io/library/python:3.12") is None


def test_what_the_administrator_wrote_down_goes_before_a_token(cloud: GoogleCloud, opened: Open) -> None:
    auth = base64.b64encode(b"ada:written").decode()
    registry = opened("gcr", "us-docker.pkg.dev/p/r/image", {"auths": {"us-docker.pkg.dev": {"auth": auth}}})

    found = registry.credentials("us-docker.pkg.dev/p/r/image:1")

    assert found is not None
    assert (found.username, cloud.tokens) == ("ada", 0)


def test_credentials_that_google_refuses_are_a_sentence(cloud: GoogleCloud, opened: Open) -> None:
    cloud.faults["token"] = [400]

    with pytest.raises(CloudRefused, match="refuses the credentials of this host"):
        opened("gcr", "us-docker.pkg.dev/p/r/image").credentials("us-docker.pkg.dev/p/r/image:1")


def test_acr_gives_a_token_of_its_own_for_azures(microsoft: Azure, opened: Open, tmp_path: Path) -> None:
    with serving(AcrStub(tmp_path)) as stub:
        registry = opened("acr", f"{stub.name}/team/nested/image")

        assert registry.digest(f"{stub.name}/team/nested/image:1") == DIGEST
        assert registry.digest(f"{stub.name}/team/nested/image:1") == DIGEST
        found = registry.credentials(f"{stub.name}/team/nested/image:1")

    assert found is not None
    assert (found.username, found.password) == (USER, REGISTRY_TOKEN)
    assert stub.exchanged == [{"grant_type": "access_token", "service": "127.0.0.1", "access_token": "token-1"}]
    assert microsoft.resources == ["https://containerregistry.azure.net"]


@pytest.mark.usefixtures("microsoft")
def test_a_token_of_azure_is_not_sent_without_tls(opened: Open) -> None:
    with serving(RegistryStub(password="any")) as plain:
        with pytest.raises(RegistryError):
            opened("acr", f"{plain.name}/team/image").credentials(f"{plain.name}/team/image:1")
        assert plain.requests == []


def test_acr_names_may_have_hyphens(opened: Open) -> None:
    assert opened("acr", "my-registry.azurecr.io/a/b").repository("ada", "p") == "my-registry.azurecr.io/a/b"


def test_credentials_that_azure_refuses_are_a_sentence(microsoft: Azure, opened: Open, tmp_path: Path) -> None:
    microsoft.status = 400
    with serving(AcrStub(tmp_path)) as stub:
        with pytest.raises(CloudRefused, match="Azure has no credentials of this host that it takes"):
            opened("acr", f"{stub.name}/team/image").credentials(f"{stub.name}/team/image:1")
        assert stub.exchanged == []
