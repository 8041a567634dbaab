"""Where users and passwords for registries come from, and that they are seen nowhere."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ipc.errors import HostError
from ipc.settings import RegistryAccess
from workers.registries.credentials import Credentials, CredentialSources, auth_file

Config = Callable[[Any], CredentialSources]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    def make(content: Any) -> CredentialSources:
        path = tmp_path / "config.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return CredentialSources(RegistryAccess(docker_config=str(path)))

    return make


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Installs docker-credential-test, a program of the test's."""

    def make(program: str) -> None:
        path = tmp_path / "docker-credential-test"
        path.write_text(f"#!/bin/sh\n{program}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return make


def pair(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize(
    ("key", "registry", "name"),
    [
        ("registry.example:5000", "registry.example:5000", "a/b"),
        ("https://registry.example/v2/", "registry.example", "a"),
        ("http://registry.example", "registry.example", "a"),
        ("https://index.docker.io/v1/", "docker.io", "library/python"),
        ("registry.example/a", "registry.example", "a/b"),
    ],
)
def test_an_entry_is_found_by_any_spelling_of_its_registry(config: Config, key: str, registry: str, name: str) -> None:
    found = config({"auths": {key: pair("ada:pass:word")}}).find(registry, name)

    assert found == Credentials(registry, "ada", "pass:word")


def test_the_entry_of_a_part_of_a_registry_goes_first(config: Config) -> None:
    sources = config({"auths": {"r.example": pair("all:1"), "r.example/team": pair("team:2")}})

    assert sources.find("r.example", "team/x") == Credentials("r.example", "team", "2")
    assert sources.find("r.example", "teams/x") == Credentials("r.example", "all", "1")


def test_without_an_entry_there_is_nothing(config: Config, tmp_path: Path) -> None:
    assert config({"auths": {"r.example": {}}}).find("r.example") is None
    assert CredentialSources(RegistryAccess(docker_config=str(tmp_path / "none"))).find("r.example") is None


def test_dockers_configuration_is_where_docker_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"r.example": pair("ada:1")}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    assert CredentialSources(RegistryAccess()).find("r.example") == Credentials("r.example", "ada", "1")


@pytest.mark.parametrize("key", ["credHelpers", "credsStore"])
def test_a_helper_is_told_the_registry_by_its_input(
    config: Config, helper: Callable[[str], None], key: str, tmp_path: Path
) -> None:
    helper(
        f'echo "$*" > {tmp_path}/words; read server; echo "{{\\"Username\\": \\"$server\\", \\"Secret\\": \\"s\\"}}"'
    )
    value = {"r.example": "test"} if key == "credHelpers" else "test"

    assert config({key: value}).find("r.example") == Credentials("r.example", "r.example", "s")
    assert (tmp_path / "words").read_text() == "get\n"


def test_a_helpers_token_is_an_identity_token(config: Config, helper: Callable[[str], None]) -> None:
    helper("""echo '{"Username": "<token>", "Secret": "t"}'""")

    assert config({"credsStore": "test"}).find("r.example") == Credentials("r.example", identity_token="t")


def test_a_helper_without_an_answer_leaves_it_to_the_file(config: Config, helper: Callable[[str], None]) -> None:
    helper("echo credentials not found in native keychain; exit 1")

    found = config({"credsStore": "test", "auths": {"r.example": pair("ada:1")}}).find("r.example")

    assert found == Credentials("r.example", "ada", "1")


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        ("echo out of order >&2; exit 1", "gave out nothing for r.example: out of order"),
        ("echo half a secr", "is no credential"),
        ("sleep 9", "gave no answer within 0.2 s"),
    ],
)
def test_a_helper_that_fails_is_a_sentence(
    config: Config,
    helper: Callable[[str], None],
    program: str,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("workers.registries.credentials._HELPER_SECONDS", 0.2 if "sleep" in program else 10.0)
    helper(f"exec {program}" if "sleep" in program else program)

    with pytest.raises(HostError, match=sentence) as caught:
        config({"credsStore": "test"}).find("r.example")
    assert "secr" not in caught.value.report().sentence().replace("is no credential", "")


@pytest.mark.parametrize(("name", "sentence"), [("missing", "cannot be run"), ("../x", "is no name of a credential")])
def test_a_helper_that_is_not_there_is_a_sentence(config: Config, name: str, sentence: str) -> None:
    with pytest.raises(HostError, match=sentence):
        config({"credsStore": name}).find("r.example")


@pytest.mark.parametrize("content", ["{", '{"auths": []}', '{"auths": {"r.example": {"auth": "?"}}}'])
def test_a_configuration_that_is_none_is_a_sentence(config: Config, content: str) -> None:
    with pytest.raises(HostError, match="cannot be read"):
        config(content).find("r.example")


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_file_with_a_password_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "password"
    path.write_text("secret")
    path.chmod(mode)
    sources = CredentialSources(RegistryAccess(username="ada", password_file=str(path)), "r.example")

    with pytest.raises(HostError, match="can be read by other users") as caught:
        sources.find("r.example")
    assert "secret" not in caught.value.report().sentence()


def test_no_text_of_credentials_shows_their_secrets() -> None:
    secret = Credentials("r.example", "ada", "secret", "token")

    assert str(secret) == repr(secret) == "Credentials(registry='r.example', username='ada')"


def test_the_forms_that_others_take() -> None:
    hub, token = Credentials("docker.io", "ada", "1"), Credentials("r.example", identity_token="t")

    assert hub.for_engine() == {"username": "ada", "password": "1", "serveraddress": "https://index.docker.io/v1/"}
    assert token.for_engine() == {"identitytoken": "t", "serveraddress": "r.example"}
    assert json.loads(auth_file([hub, token]))["auths"].keys() == {"docker.io", "r.example"}
