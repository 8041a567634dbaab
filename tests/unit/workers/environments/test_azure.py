"""Azure as this host's environment: its credentials, and uploads. Azure is a fake on a socket, without TLS."""

import logging
from collections.abc import Callable, Iterator
from logging.handlers import BufferingHandler
from pathlib import Path

import pytest

from ipc.errors import InvalidSpec
from ipc.settings import EnvironmentConfig
from tests.support.azure import Azure, AzureAuthority
from tests.support.http_servers import serving
from workers.context import JobContext
from workers.environments import CloudRefused, CloudUnavailable, load_environment
from workers.environments.azure import AzureEnvironment

Open = Callable[[], AzureEnvironment]
URI = "https://teamaccount.blob.core.windows.net/contexts"


@pytest.fixture
def opened(make_context: Callable[..., JobContext]) -> Open:
    order = make_context(environment=EnvironmentConfig("azure")).order

    def make() -> AzureEnvironment:
        made = load_environment(order, "azure")
        assert isinstance(made, AzureEnvironment)
        return made

    return make


def test_credentials_that_are_good_are_a_sentence(microsoft: Azure, opened: Open) -> None:
    assert opened().verify() == "This host speaks to Azure with its default credentials."
    assert microsoft.resources == ["https://management.azure.com"]


def test_credentials_that_are_refused_are_a_sentence(microsoft: Azure, opened: Open) -> None:
    microsoft.status = 400

    with pytest.raises(CloudRefused, match="Azure has no credentials of this host that it takes") as caught:
        opened().verify()
    assert "managed identity" in (caught.value.hint or "")


def test_what_was_looked_for_is_named(microsoft: Azure, opened: Open) -> None:
    microsoft.status = 400

    with pytest.raises(CloudRefused, match=r"EnvironmentCredential: .*; ManagedIdentityCredential: "):
        opened().verify()


def test_an_identity_that_gives_no_answer_is_away(
    microsoft: Azure, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    del microsoft
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:9/msi/token")
    log = BufferingHandler(1000)
    logging.getLogger().addHandler(log)

    with pytest.raises(CloudUnavailable, match=r"Azure cannot be reached: .*Connection refused"):
        opened().verify()

    logging.getLogger().removeHandler(log)
    assert not [record for record in log.buffer if "DefaultAzureCredential" in record.getMessage()]


def test_a_pods_token_that_is_not_there_is_named(opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workload identity of a cluster, whose webhook did not mount the token."""
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID"):
        monkeypatch.setenv(name, "00000000-0000-0000-0000-000000000000")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "no-token"))

    with pytest.raises(CloudRefused, match=r"No such file or directory: '.*no-token'"):
        opened().verify()


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AzureAuthority]:
    """What gives tokens to pods, as a cluster's webhook names it to this one; the pod's token is in ``pod-token``."""
    (tmp_path / "pod-token").write_text("token-of-the-pod")
    with serving(AzureAuthority(tmp_path)) as server:
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", f"{server.url}/")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(server.certificate))
        monkeypatch.setenv("AZURE_TENANT_ID", "tenant")
        monkeypatch.setenv("AZURE_CLIENT_ID", "client")
        monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "pod-token"))
        yield server


def test_a_pod_shows_its_own_token_and_gets_one_of_azures(authority: AzureAuthority, opened: Open) -> None:
    authority.known = {"token-of-the-pod"}
    here = opened()

    assert here.verify() == "This host speaks to Azure with its default credentials."
    assert here.token("https://containerregistry.azure.net/.default").startswith("token for https://containerregistry")

    (place, form), _ = authority.asked
    assert place == "/tenant/oauth2/v2.0/token"
    assert (form["client_id"], form["grant_type"]) == ("client", "client_credentials")
    assert form["scope"] == "https://management.azure.com/.default"


def test_a_pods_token_that_is_replaced_is_read_again_by_the_next_worker(
    authority: AzureAuthority, opened: Open, tmp_path: Path
) -> None:
    authority.known = {"token-of-the-pod"}
    opened().verify()
    (tmp_path / "pod-token").write_text("the-next-one")
    authority.known = {"the-next-one"}

    opened().verify()


def test_a_pod_that_azure_does_not_know_is_told_in_azures_words(authority: AzureAuthority, opened: Open) -> None:
    with pytest.raises(CloudRefused, match=r"AADSTS700213: No matching federated identity record found") as caught:
        opened().verify()
    assert "token-of-the-pod" not in str(caught.value)
    assert len(authority.asked) == 1


def test_an_authority_that_gives_no_answer_is_away(
    authority: AzureAuthority, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    del authority
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", "https://127.0.0.1:9")

    with pytest.raises(CloudUnavailable, match=r"Azure cannot be reached: .*Connection refused"):
        opened().verify()


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"AZURE_CLIENT_CERTIFICATE_PATH": "/nonexistent.pem"}, "/nonexistent.pem: No such file or directory"),
        ({"AZURE_CLIENT_SECRET": "s", "AZURE_TENANT_ID": "no tenant"}, "Invalid tenant"),
        ({"AZURE_TOKEN_CREDENTIALS": "mine"}, "Invalid value for AZURE_TOKEN_CREDENTIALS"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(
    opened: Open, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], sentence: str
) -> None:
    usual = {"AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_ID": "client"}
    for name, value in (usual | variables).items():
        monkeypatch.setenv(name, value)

    with pytest.raises(CloudRefused, match=sentence) as caught:
        opened().verify()
    assert "AZURE_CLIENT_ID" in (caught.value.hint or "")


def test_files_are_uploaded_with_their_prefix(microsoft: Azure, opened: Open, tmp_path: Path) -> None:
    (tmp_path / "tree" / "a").mkdir(parents=True)
    (tmp_path / "tree" / "a" / "b.txt").write_text("b")

    opened().upload(tmp_path / "tree", f"{URI}/builds/1")
    opened().upload(tmp_path / "tree" / "a" / "b.txt", f"{URI}/one.txt")

    assert microsoft.blobs == {"contexts/builds/1/a/b.txt": b"b", "contexts/one.txt": b"b"}


def test_an_upload_that_is_refused_is_a_sentence(microsoft: Azure, opened: Open, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    microsoft.status = 403

    with pytest.raises(CloudRefused, match=r"403"):
        opened().upload(tmp_path / "file", f"{URI}/x")


@pytest.mark.parametrize("uri", ["gs://bucket/x", "https://example.com/x", "https://UP.blob.core.windows.net/c"])
def test_an_address_of_another_kind_is_refused(opened: Open, tmp_path: Path, uri: str) -> None:
    with pytest.raises(InvalidSpec, match="is no address in Azure's Blob Storage"):
        opened().upload(tmp_path, uri)
