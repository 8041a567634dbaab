"""AWS as environment and registry, at moto: whose credentials are used, what is uploaded, what is said of failures."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ipc.errors import HostError, InvalidSpec
from ipc.run_spec import RunSpec
from ipc.settings import AwsConfig, EnvironmentConfig, RegistryAccess, RegistryConfig
from ipc.work_order import WorkOrder
from tests.support.aws import ACCOUNT, REGION, FakeAws
from tests.support.http_servers import LocalServer, QuietHandler, serving
from tests.support.orders import an_order
from workers.aws.errors import AwsRefused
from workers.aws.requests import open_aws
from workers.environments import CloudUnavailable, load_environment
from workers.environments.aws import AwsEnvironment
from workers.registries import RegistryError, load_registry
from workers.registries.distribution import MANIFEST_TYPES
from workers.registries.ecr import EcrRegistry, place_of

pytestmark = pytest.mark.usefixtures("aws")

HOST = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
OTHER_ROLE = f"arn:aws:iam::{ACCOUNT}:role/other"


def order(tmp_path: Path, **more: Any) -> WorkOrder:
    spec = RunSpec("entity", "project", "run", "sagemaker")
    access = RegistryAccess(docker_config=str(tmp_path / "no-config.json"))
    return an_order(tmp_path, spec=spec, **{"registry_access": access, **more})


def environment(tmp_path: Path, **more: Any) -> AwsEnvironment:
    found = load_environment(order(tmp_path, **more), "aws")
    assert type(found) is AwsEnvironment
    return found


# -- whose credentials


def test_it_says_as_whom_and_where(tmp_path: Path) -> None:
    said = environment(tmp_path, environment=EnvironmentConfig("aws", "eu-west-1")).verify()

    assert said == (
        f"This host speaks to AWS as arn:aws:sts::{ACCOUNT}:user/moto, in the account {ACCOUNT} and eu-west-1."
    )


def test_the_region_may_be_in_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "ap-south-1")

    assert "ap-south-1" in environment(tmp_path).verify()


def test_without_a_region_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")

    with pytest.raises(AwsRefused, match="does not know which region") as caught:
        assert open_aws(AwsConfig()).region
    assert "environment.region" in (caught.value.hint or "")


def test_without_credentials_it_says_how_to_give_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(AwsRefused, match="This host has no credentials for AWS") as caught:
        environment(tmp_path).verify()
    assert "launchd.aws.profile" in (caught.value.hint or "")


def test_a_profile_that_there_is_not_is_named(tmp_path: Path) -> None:
    with pytest.raises(AwsRefused, match="nowhere"):
        environment(tmp_path, aws=AwsConfig(profile="nowhere")).verify()


def test_wrong_credentials_are_told(aws: FakeAws, tmp_path: Path) -> None:
    aws.fail("GetCallerIdentity", 403, "InvalidClientTokenId", "The security token included is invalid.")

    with pytest.raises(AwsRefused, match="security token included is invalid"):
        environment(tmp_path).verify()


def test_an_aws_that_is_not_there_is_worth_another_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("workers.aws.session._TRIES", 1)

    with pytest.raises(CloudUnavailable, match="gave no answer"):
        environment(tmp_path).verify()


def test_a_role_is_taken_on(tmp_path: Path) -> None:
    said = environment(tmp_path, aws=AwsConfig(role_arn=OTHER_ROLE, external_id="of-the-role")).verify()

    assert f"arn:aws:sts::{ACCOUNT}:assumed-role/other/launchd" in said


def test_the_role_is_taken_on_again_before_its_credentials_end(aws: FakeAws) -> None:
    connection = open_aws(AwsConfig(role_arn=OTHER_ROLE), REGION)
    connection.caller()
    asked = len([name for name, _ in aws.requests if name == "AssumeRole"])
    # Within ten minutes of their end the SDK has them renewed before it uses them.
    connection.client("sts")._request_signer._credentials._expiry_time = datetime.now(UTC) + timedelta(minutes=5)

    connection.caller()

    assert asked == 1
    assert len([name for name, _ in aws.requests if name == "AssumeRole"]) == 2


def test_a_pods_token_becomes_a_role(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """IRSA: a service account's token in a file, exchanged for a role's credentials."""
    token = tmp_path / "token"
    token.write_text("a-token")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", OTHER_ROLE)

    assert "assumed-role/other/" in environment(tmp_path).verify()


def test_a_pods_token_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The webhook that mounts it is missing, or the variable is wrong: the SDK raises what the system says."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "no-token"))
    monkeypatch.setenv("AWS_ROLE_ARN", OTHER_ROLE)

    with pytest.raises(AwsRefused, match="no-token: No such file or directory") as caught:
        environment(tmp_path).verify()
    assert caught.value.is_about_credentials
    assert "launchd.aws.profile" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("program", "kind", "sentence"),
    [
        ("/nonexistent/program", AwsRefused, "/nonexistent/program: No such file or directory"),
        ("/bin/false", CloudUnavailable, "could not get its credentials for AWS"),
    ],
)
def test_a_program_that_gives_no_credentials_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, kind: type[HostError], sentence: str
) -> None:
    (tmp_path / "config").write_text(f"[profile given]\ncredential_process = {program}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))

    with pytest.raises(kind, match=sentence) as caught:
        environment(tmp_path, aws=AwsConfig(profile="given")).verify()
    assert "launchd.aws.profile" in (caught.value.hint or "")


def test_roles_are_taken_on_one_behind_another(aws: FakeAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile's role has the right to take on that of ``launchd.aws.role_arn``."""
    first = f"arn:aws:iam::{ACCOUNT}:role/first"
    (tmp_path / "config").write_text(f"[profile chain]\nrole_arn = {first}\nsource_profile = base\n")
    (tmp_path / "credentials").write_text("[base]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = x\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))

    said = environment(tmp_path, aws=AwsConfig(profile="chain", role_arn=OTHER_ROLE)).verify()

    assert "assumed-role/other/launchd" in said
    assert [name for name, _ in aws.requests] == ["AssumeRole", "AssumeRole", "GetCallerIdentity"]


def test_the_instances_role_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED"):
        monkeypatch.delenv(name)
    with serving(LocalServer(_InstanceMetadata)) as metadata:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url)

        assert ACCOUNT in environment(tmp_path).verify()


class _InstanceMetadata(QuietHandler):
    """The metadata service of an instance with a role (IMDSv2)."""

    def _serve(self) -> None:
        if self.command == "PUT":
            self.answer(200, b"a-session")
        elif self.path.rstrip("/").endswith("security-credentials"):
            self.answer(200, b"agent-role")
        else:
            self._give_credentials()

    do_GET = do_PUT = _serve  # noqa: N815

    def _give_credentials(self) -> None:
        until = (datetime.now(UTC) + timedelta(hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ")
        keys = {"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "none", "Token": "t", "Expiration": until}
        self.answer(200, json.dumps({"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": until, **keys}).encode())


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidClientTokenId", "SignatureDoesNotMatch"])
def test_credentials_that_were_replaced_in_their_file_are_read_again(
    aws: FakeAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = OLD\naws_secret_access_key = x\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    connection = open_aws(AwsConfig(), REGION)
    aws.fail("GetCallerIdentity", 403, code)

    with pytest.raises(AwsRefused, match=code):
        connection.caller()
    file.write_text("[default]\naws_access_key_id = NEW\naws_secret_access_key = x\n")

    assert connection.caller().account == ACCOUNT
    assert connection.client("sts")._request_signer._credentials.access_key == "NEW"


def test_credentials_and_a_region_that_come_later_are_found(
    aws: FakeAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert aws.url
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    connection = open_aws(AwsConfig())
    with pytest.raises(AwsRefused, match="does not know which region"):
        assert connection.region
    (tmp_path / "config").write_text(f"[default]\nregion = {REGION}\n")
    assert connection.region == REGION
    with pytest.raises(AwsRefused, match="has no credentials"):
        connection.caller()

    (tmp_path / "credentials").write_text("[default]\naws_access_key_id = NEW\naws_secret_access_key = x\n")

    assert connection.caller().account == ACCOUNT


# -- uploads


@pytest.fixture
def bucket(aws: FakeAws) -> Iterator[Any]:
    client = aws.client("s3")
    client.create_bucket(Bucket="bucket")
    yield client
    client.close()


def names_in(client: Any) -> list[str]:
    return [entry["Key"] for entry in client.list_objects_v2(Bucket="bucket").get("Contents", [])]


@pytest.mark.parametrize(
    ("uri", "key"),
    [
        ("s3://bucket/a/b.tgz", "a/b.tgz"),
        ("s3://bucket/a/", "a/context.tgz"),
        ("s3://bucket", "context.tgz"),
    ],
)
def test_a_file_goes_where_it_is_told(bucket: Any, tmp_path: Path, uri: str, key: str) -> None:
    file = tmp_path / "context.tgz"
    file.write_bytes(b"content")

    environment(tmp_path).upload(file, uri)

    assert names_in(bucket) == [key]
    assert bucket.get_object(Bucket="bucket", Key=key)["Body"].read() == b"content"


def test_a_directory_keeps_the_prefix(bucket: Any, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "a").write_text("a")
    (source / "sub" / "b").write_text("b")
    (source / "link").symlink_to("/etc/passwd")

    environment(tmp_path).upload(source, "s3://bucket/contexts/one/")

    assert names_in(bucket) == ["contexts/one/a", "contexts/one/sub/b"]


def test_a_bucket_that_there_is_not_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    with pytest.raises(AwsRefused, match=r"s3://missing/x: .*NoSuchBucket"):
        environment(tmp_path).upload(file, "s3://missing/x")


@pytest.mark.parametrize("uri", ["gs://bucket/x", "s3:///x", "bucket/x"])
def test_another_clouds_address_is_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises(InvalidSpec, match="is no address in S3"):
        environment(tmp_path).upload(tmp_path, uri)


# -- the registry


def registry(tmp_path: Path, **more: Any) -> EcrRegistry:
    config = {"registry": RegistryConfig("ecr", f"{HOST}/team/jobs"), **more}
    found = load_registry(order(tmp_path, **config))
    assert type(found) is EcrRegistry
    return found


@pytest.fixture
def ecr(aws: FakeAws) -> Iterator[Any]:
    client = aws.client("ecr")
    yield client
    client.close()


def test_an_image_is_known_by_its_manifest(ecr: Any, tmp_path: Path) -> None:
    ecr.create_repository(repositoryName="team/jobs")
    manifest = json.dumps(
        {"schemaVersion": 2, "mediaType": MANIFEST_TYPES[1], "config": {"digest": "sha256:0"}, "layers": []}
    )
    put = ecr.put_image(repositoryName="team/jobs", imageManifest=manifest, imageTag="1")
    digest = put["image"]["imageId"]["imageDigest"]
    found = registry(tmp_path)

    assert found.digest(f"{HOST}/team/jobs:1") == digest
    assert found.digest(f"{HOST}/team/jobs@{digest}") == digest
    assert found.digest(f"{HOST}/team/jobs:2") is None


def test_a_missing_repository_is_told_before_anything_is_built(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="There is no repository team/jobs") as caught:
        registry(tmp_path).digest(f"{HOST}/team/jobs:1")
    assert "launchd.aws.create_repositories" in (caught.value.hint or "")


def test_a_missing_repository_is_created_where_that_is_allowed(ecr: Any, tmp_path: Path) -> None:
    found = registry(tmp_path, aws=AwsConfig(create_repositories=True))

    assert found.digest(f"{HOST}/team/jobs:1") is None
    assert found.digest(f"{HOST}/team/jobs:1") is None
    assert [one["repositoryName"] for one in ecr.describe_repositories()["repositories"]] == ["team/jobs"]


def test_a_token_is_asked_for_and_is_shown_nowhere(tmp_path: Path) -> None:
    found = registry(tmp_path).credentials(f"{HOST}/team/jobs:1")

    assert found is not None
    assert (found.registry, found.username, found.password) == (HOST, "AWS", f"{ACCOUNT}-auth-token")
    assert "auth-token" not in repr(found)


def test_a_token_that_ends_soon_is_asked_for_again(aws: FakeAws, tmp_path: Path) -> None:
    """In moto, every token has ended."""
    found = registry(tmp_path)

    found.credentials(f"{HOST}/team/jobs:1")
    found.credentials(f"{HOST}/team/jobs:1")

    assert len([name for name, _ in aws.requests if name.endswith("GetAuthorizationToken")]) == 2


def test_what_the_administrator_wrote_down_goes_first(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"auths": {HOST: {"username": "me", "password": "mine"}}}))

    found = registry(tmp_path, registry_access=RegistryAccess(docker_config=str(config)))

    shown = found.credentials(f"{HOST}/team/jobs:1")
    assert shown is not None
    assert (shown.username, shown.password) == ("me", "mine")


def test_a_repository_by_its_name_alone_is_in_the_own_account_and_region(tmp_path: Path) -> None:
    named = RegistryConfig("ecr", repository="team/jobs")

    found = registry(tmp_path, registry=named, environment=EnvironmentConfig("aws", "eu-west-1"))

    assert found.repository("any", "any") == f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/team/jobs"


def test_a_configuration_that_names_no_repository_is_told(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="does not name its repository"):
        registry(tmp_path, registry=RegistryConfig("ecr"))


def test_regions_in_china_have_a_domain_of_their_own() -> None:
    place = place_of(f"{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com.cn")

    assert place is not None
    assert (place.account, place.region) == (ACCOUNT, "cn-north-1")
    assert place.host == f"{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com.cn"
    assert place_of("docker.io") is None
