"""What a build is told of this host, and in which form."""

import subprocess
from pathlib import Path

import pytest

from ipc.errors import HostError
from workers.images.host_settings import build_secrets, passwords
from workers.images.recipe import CERTIFICATES_SECRET, SETTINGS_SECRET

WITH_PASSWORD = "https://user:s3cret@packages.example.com/simple"


def settings(worker: dict[str, str], *, with_passwords: bool = False) -> dict[str, str]:
    """Return the variables that a shell has after it has read the settings."""
    text = build_secrets(worker, with_passwords=with_passwords).get(SETTINGS_SECRET, "")
    done = subprocess.run(
        ["sh", "-c", f"{text}\nenv -0"], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True
    )
    pairs = [line.split("=", 1) for line in done.stdout.split("\0") if line]
    return {name: value for name, value in pairs if name not in ("PATH", "PWD", "SHLVL", "_", "OLDPWD")}


def test_a_host_without_settings_needs_no_secrets() -> None:
    assert build_secrets({"PATH": "/bin", "LANG": "C"}, with_passwords=True) == {}


def test_proxies_and_indexes_are_told() -> None:
    worker = {"https_proxy": "http://proxy:3128", "PIP_INDEX_URL": "https://packages.example.com/a'c$d"}

    assert settings(worker) == worker | {"UV_INDEX_URL": "https://packages.example.com/a'c$d"}


@pytest.mark.parametrize("name", ["PIP_INDEX_URL", "UV_INDEX_URL", "PIP_EXTRA_INDEX_URL"])
def test_a_password_is_told_only_where_the_administrator_says_so(name: str) -> None:
    assert settings({name: WITH_PASSWORD}) == {}
    assert settings({name: WITH_PASSWORD}, with_passwords=True)[name] == WITH_PASSWORD


def test_files_of_this_host_are_not_told() -> None:
    worker = {"PIP_FIND_LINKS": "/opt/wheels", "PIP_EXTRA_INDEX_URL": "file:///srv/simple https://a/simple"}

    assert settings(worker | {"PIP_CACHE_DIR": "/var/cache/pip", "UV_CACHE_DIR": "/var/cache/uv"}) == {
        "PIP_EXTRA_INDEX_URL": "https://a/simple",
        "UV_EXTRA_INDEX_URL": "https://a/simple",
    }


def test_a_proxys_password_stays_with_the_agent() -> None:
    assert settings({"HTTPS_PROXY": "http://u:p@proxy:3128"}, with_passwords=True) == {}


def test_certificates_are_a_file(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("-----BEGIN CERTIFICATE-----\n")

    secrets = build_secrets({"SSL_CERT_FILE": str(tmp_path / "ca.crt")}, with_passwords=False)

    assert secrets[CERTIFICATES_SECRET] == "-----BEGIN CERTIFICATE-----\n"
    assert "export PIP_CERT=/run/secrets/launchd-certificates\n" in secrets[SETTINGS_SECRET]


def test_certificates_that_are_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot be read: No such file"):
        build_secrets({"SSL_CERT_FILE": str(tmp_path / "none")}, with_passwords=False)


def test_passwords_are_known() -> None:
    assert set(passwords({"PIP_INDEX_URL": WITH_PASSWORD, "UV_INDEX_X_PASSWORD": "other"})) == {"s3cret", "other"}
