"""An image with Python and pip for the tests' container engine, from Debian's packages and not from a registry."""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.support.engine import TestEngine
from tests.support.parts import missing_part

PYTHON_IMAGE = "localhost/launchd-test-python:3.11"
#: What makes it, and where its files are kept from one run to the next.
SCRIPT = Path(__file__).parents[1] / "parts" / "base-image.sh"
ARCHIVE = Path(os.environ.get("LAUNCHD_TEST_BASE_IMAGE", "/var/cache/launchd-base-image/python-3.11.tar"))

#: What a machine may have told its programs about packages and certificates: a build would be told as well.
_OF_MACHINE = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_", "UV_")

_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
VARIABLES = f"PATH=/usr/local/bin:/usr/bin:/bin SSL_CERT_FILE={_CERTIFICATES} PIP_CERT={_CERTIFICATES}"


def without_settings_of_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be on a machine that tells its programs nothing about packages and certificates."""
    for name in list(os.environ):
        if name.startswith(_OF_MACHINE):
            monkeypatch.delenv(name)


def import_python_image(engine: TestEngine) -> str:
    """Have the engine have the image; returns its name. Where it cannot be made the test is skipped, or fails."""
    with engine.client() as client:
        if client.images(PYTHON_IMAGE):
            return PYTHON_IMAGE
        archive = python_archive()
        repository, _, tag = PYTHON_IMAGE.rpartition(":")
        with archive.open("rb") as files:
            client.import_image_from_data(files, repository=repository, tag=tag, changes=[f"ENV {VARIABLES}"])
    return PYTHON_IMAGE


def python_archive() -> Path:
    """Return the archive with the image's files. Where it cannot be made the test is skipped, or fails."""
    if not ARCHIVE.exists():
        _make_archive()
    return ARCHIVE


def _make_archive() -> None:
    # Elsewhere than in the home directory of the tests, where pip would find no settings of this machine.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HOME", "PYTHON"))}
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [str(SCRIPT), str(ARCHIVE)], env=environment | {"HOME": home}, capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        missing_part(f"The image of the tests cannot be made: {done.stderr[-2000:]}")
