"""The sources of the API key and the address, in W&B's order; and that a key is never shown."""

from pathlib import Path

import pytest

from ipc.messages import MAX_API_KEY_BYTES
from launchd.client import credentials
from launchd.client.credentials import (
    DEFAULT_BASE_URL,
    MAX_KEY_CHARACTERS,
    ApiKey,
    ApiKeyFileError,
    ApiKeyNotFound,
    ApiKeyUnusable,
    find_api_key,
    find_base_url,
)
from launchd.client.errors import Refused

URL = "http://localhost:8080"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """W&B's local settings are read from the working directory."""
    monkeypatch.chdir(tmp_path)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def everywhere(tmp_path: Path) -> dict[str, str]:
    """A home directory with a key in every source."""
    write(tmp_path / ".netrc", "machine localhost:8080 login user password from-netrc\n")
    write(tmp_path / ".config/wandb/settings", "[default]\napi_key = from-settings\n")
    write(tmp_path / "key", "from-file\n")
    return {"HOME": str(tmp_path), "WANDB_API_KEY": "from-variable"}


def test_the_order_is_variable_file_netrc_settings(everywhere: dict[str, str], tmp_path: Path) -> None:
    assert find_api_key(URL, everywhere, str(tmp_path / "key")).key == "from-variable"
    del everywhere["WANDB_API_KEY"]
    assert find_api_key(URL, everywhere, str(tmp_path / "key")).key == "from-file"
    found = find_api_key(URL, everywhere)
    assert (found.key, found.origin) == ("from-netrc", str(tmp_path / ".netrc"))
    (tmp_path / ".netrc").unlink()
    assert find_api_key(URL, everywhere).key == "from-settings"


@pytest.mark.parametrize("host", ["localhost:8080", "localhost"])
def test_netrc_names_the_host_with_its_port_or_without(tmp_path: Path, host: str) -> None:
    netrc = write(tmp_path / "my-netrc", f"machine {host}\n  login user\n  password abc\n")

    assert find_api_key(URL, {"HOME": str(tmp_path), "NETRC": str(netrc)}).key == "abc"


def test_both_of_wandbs_clients_leave_a_key_that_is_found(tmp_path: Path) -> None:
    """0.20 reads the host alone, 0.31 the host with its port; where both are there, the port is the closer match."""
    netrc = "machine localhost\n  login user\n  password old\nmachine localhost:8080\n  login user\n  password new\n"
    write(tmp_path / "_netrc", netrc)
    assert find_api_key(URL, {"HOME": str(tmp_path)}).key == "new"
    assert find_api_key("http://localhost:9090", {"HOME": str(tmp_path)}).key == "old"


def test_a_key_of_the_host_of_old_is_found(tmp_path: Path) -> None:
    write(tmp_path / ".netrc", "machine api.wandb.ai\n  login user\n  password abc\n")
    for url in (DEFAULT_BASE_URL, "https://api.forge.coreweave.com"):
        assert find_api_key(url, {"HOME": str(tmp_path)}).key == "abc"


def test_local_settings_win_over_global_ones_and_a_variable_moves_those(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "WANDB_CONFIG_DIR": str(tmp_path / "elsewhere")}
    write(tmp_path / ".config/wandb/settings", "[default]\napi_key = not-this\n")
    write(tmp_path / "elsewhere/settings", "[default]\napi_key = global\n")
    assert find_api_key(URL, environ).key == "global"
    write(tmp_path / "wandb/settings", "[default]\napi_key = local\n")
    assert find_api_key(URL, environ).key == "local"


@pytest.mark.parametrize("text", ["machine other.example login user password abc\n", "machine\n", "\udcff"])
def test_without_any_key_it_says_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / ".netrc").write_text(text, errors="surrogateescape")

    with pytest.raises(ApiKeyNotFound, match=r"no API key for http://localhost:8080\. Log in with `launchd login"):
        find_api_key(URL, {"HOME": str(tmp_path), "WANDB_API_KEY": " "})


def test_there_is_no_key_for_what_is_no_address(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"'localhost:8780' is not the address .*: write it as http://HOST:PORT"):
        find_api_key("localhost:8780", {"HOME": str(tmp_path)})


@pytest.mark.parametrize(
    ("content", "why"), [(None, "cannot be read: No such file"), (b" \n", "is empty"), (b"\xff\xfe", "no.* plain text")]
)
def test_a_named_key_file_that_is_no_good_is_not_passed_over(
    everywhere: dict[str, str], tmp_path: Path, content: bytes | None, why: str
) -> None:
    del everywhere["WANDB_API_KEY"]
    path = tmp_path / "other-key"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ApiKeyFileError, match=why):
        find_api_key(URL, everywhere, str(path))


def test_an_empty_key_that_systemd_copied_names_the_file_to_put_the_key_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "SYSTEMD_CREDENTIALS", tmp_path)
    path = write(tmp_path / "launch-agent.service" / "api.key", "")

    with pytest.raises(ApiKeyFileError, match=r"is empty\. Put the key into /etc/launch-agent/api\.key, which systemd"):
        find_api_key(URL, {"HOME": str(tmp_path)}, str(path))


def test_a_key_does_not_show_itself() -> None:
    key = ApiKey("secret", "here")

    assert "secret" not in f"{key} {key!r} {[key]}"


def test_the_address_comes_from_variable_configuration_settings_or_is_wandbs(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    assert find_base_url(environ).url == DEFAULT_BASE_URL

    write(tmp_path / ".config/wandb/settings", "[default]\nbase_url = https://settings.example/\n")
    assert find_base_url(environ).url == "https://settings.example"
    write(tmp_path / "wandb/settings", "[default]\nbase_url = https://local.example\n")
    assert find_base_url(environ).url == "https://local.example"
    assert find_base_url(environ, "https://config.example/").url == "https://config.example"
    assert find_base_url(environ | {"WANDB_BASE_URL": URL}, "https://config.example").url == URL


def test_settings_that_cannot_be_read_say_nothing(tmp_path: Path) -> None:
    write(tmp_path / "settings/settings", "base_url without a section")

    environ = {"HOME": str(tmp_path), "WANDB_CONFIG_DIR": str(tmp_path / "settings")}
    assert find_base_url(environ).origin == "default"


@pytest.mark.parametrize("key", ["k" * 5000, "cl\xe9", "a\nb", "\udce9"])
def test_what_cannot_be_a_key_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(ApiKeyUnusable, match="from WANDB_API_KEY") as refused:
        find_api_key(URL, {"WANDB_API_KEY": key})
    assert key not in str(refused.value)


def test_every_key_fits_into_the_message_to_a_worker() -> None:
    assert MAX_KEY_CHARACTERS == MAX_API_KEY_BYTES
