"""Google Cloud as this host's environment: who it is, where it is, and uploads. The cloud is a fake on a socket."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ipc.errors import InvalidSpec
from ipc.settings import EnvironmentConfig
from tests.support.google_cloud import PROJECT, REGION, UNANSWERED, GoogleCloud, google_cloud
from workers.context import JobContext
from workers.environments import CloudRefused, CloudUnavailable, Environment, load_environment
from workers.environments.gcp import GcpEnvironment

Open = Callable[..., GcpEnvironment]


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GoogleCloud]:
    with google_cloud() as server:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(server.write_credentials(tmp_path)))
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        yield server


@pytest.fixture
def opened(make_context: Callable[..., JobContext]) -> Open:
    order = make_context().order

    def make(region: str | None = REGION, project: str | None = PROJECT) -> GcpEnvironment:
        return GcpEnvironment(EnvironmentConfig("gcp", region, project), order)

    return make


def test_the_configurations_environment_is_made(make_context: Callable[..., JobContext]) -> None:
    order = make_context(environment=EnvironmentConfig("gcp", "r1", "p1")).order

    made: Environment = load_environment(order, "gcp")

    assert isinstance(made, GcpEnvironment)
    assert (made.region, made.project) == ("r1", "p1")


@pytest.mark.usefixtures("cloud")
def test_credentials_that_are_good_are_a_sentence(opened: Open) -> None:
    sentence = opened().verify()

    assert sentence.startswith("This host speaks to Google Cloud as ")
    assert sentence.endswith("in the project team-project and the region us-central1.")


def test_without_credentials_it_is_said_what_to_do(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))

    with pytest.raises(CloudRefused, match=r"no credentials for Google Cloud: .*missing.json") as caught:
        opened().verify()
    assert "GOOGLE_APPLICATION_CREDENTIALS" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is not a valid json file"),
        ("[]", "has not the form that Google's library knows"),
        ("{}", "does not have a valid type"),
        ('{"type": "service_account"}', "missing fields"),
        ('{"type": "external_account"}', "Failed to load external account credentials"),
    ],
)
def test_a_file_that_has_no_credentials_is_a_sentence(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, sentence: str
) -> None:
    (tmp_path / "key.json").write_text(text)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))

    with pytest.raises(CloudRefused, match=sentence) as caught:
        opened().verify()
    assert "GOOGLE_APPLICATION_CREDENTIALS" in (caught.value.hint or "")


def test_a_pods_token_that_is_not_there_is_named(cloud: GoogleCloud, opened: Open, tmp_path: Path) -> None:
    """Workload identity federation: the token that is to be exchanged is in a file."""
    file = cloud.write_credentials(tmp_path)
    written = json.loads(file.read_text())
    written["credential_source"] = {"file": str(tmp_path / "no-token")}
    file.write_text(json.dumps(written))

    with pytest.raises(CloudRefused, match="no-token"):
        opened().verify()


def test_credentials_that_are_refused_are_a_sentence(cloud: GoogleCloud, opened: Open) -> None:
    cloud.faults["token"] = [400]

    with pytest.raises(CloudRefused, match="Google Cloud refuses the credentials of this host"):
        opened().verify()


def test_a_token_server_that_gives_no_answer_is_away(cloud: GoogleCloud, opened: Open) -> None:
    cloud.faults["token"] = [UNANSWERED] * 20

    with pytest.raises(CloudUnavailable, match="Google Cloud cannot be reached"):
        opened().verify()


def test_the_project_may_be_a_variable(opened: Open, cloud: GoogleCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    del cloud
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "by-variable")

    assert opened(project=None).project == "by-variable"


@pytest.mark.usefixtures("cloud")
def test_credentials_without_a_project_are_a_sentence(opened: Open) -> None:
    with pytest.raises(CloudRefused, match="belong to no project"):
        _ = opened(project=None).project


def test_the_region_may_be_a_variable_or_gclouds(opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    with pytest.raises(CloudRefused, match="No region of Google Cloud is named"):
        _ = opened(region=None).region

    (tmp_path / "configurations").mkdir()
    (tmp_path / "active_config").write_text("work\n")
    (tmp_path / "configurations" / "config_work").write_text("[compute]\nregion = europe-west4\n")
    assert opened(region=None).region == "europe-west4"

    monkeypatch.setenv("GOOGLE_CLOUD_REGION", "asia-east1")
    assert opened(region=None).region == "asia-east1"


def test_files_are_uploaded_with_their_prefix(cloud: GoogleCloud, opened: Open, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "a").mkdir(parents=True)
    (tree / "a" / "b.txt").write_text("b")
    (tree / "c.txt").write_text("c")
    (tree / "link").symlink_to("c.txt")

    opened().upload(tree, "gs://team-bucket/builds/1")
    opened().upload(tree / "c.txt", "gs://team-bucket/one.txt")
    opened().upload(tree / "c.txt", "gs://team-bucket/below/")

    assert cloud.objects == {
        "team-bucket/builds/1/a/b.txt": b"b",
        "team-bucket/builds/1/c.txt": b"c",
        "team-bucket/one.txt": b"c",
        "team-bucket/below/c.txt": b"c",
    }


@pytest.mark.parametrize(("status", "error"), [(403, CloudRefused), (404, CloudRefused)])
def test_an_upload_that_is_refused_is_a_sentence(
    cloud: GoogleCloud, opened: Open, tmp_path: Path, status: int, error: type[Exception]
) -> None:
    (tmp_path / "file").write_text("x")
    cloud.faults["upload"] = [status]

    with pytest.raises(error, match=str(status)):
        opened().upload(tmp_path / "file", "gs://team-bucket/x")


@pytest.mark.parametrize("uri", ["s3://bucket/x", "gs://", "gs://UPPER/x", "team-bucket"])
def test_an_address_of_another_kind_is_refused(opened: Open, tmp_path: Path, uri: str) -> None:
    with pytest.raises(InvalidSpec, match="is no address in Cloud Storage"):
        opened().upload(tmp_path, uri)
