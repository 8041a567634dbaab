"""The check of buildah, the builder without a daemon."""

import os
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ipc.settings import BuildahConfig, BuilderConfig, UserNumbers
from launchd.doctor.buildah import check_buildah
from launchd.doctor.findings import Verdict
from launchd.doctor.host import Host
from tests.unit.doctor.conftest import FREE, MakeHost, only, unit_of


def building(host: MakeHost, tmp_path: Path, properties: dict[str, str] | None = None, **given: Any) -> Host:
    """A host whose agent builds with buildah, and that has a program of this name."""
    made = unit_of(host, tmp_path, **(properties or {}))
    (tmp_path / "bin/buildah").touch(mode=0o755)
    wanted = host(builder=BuilderConfig(type="buildah"), root=made.root, **given)
    return replace(wanted, environ=made.environ)


@pytest.fixture(autouse=True)
def _path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")


def test_another_builder(host: MakeHost) -> None:
    assert only(check_buildah(host())).verdict is Verdict.NOT_APPLICABLE
    assert only(check_buildah(host(builder=BuilderConfig(type="docker")))).verdict is Verdict.NOT_APPLICABLE


def test_builds_can_be_run(host: MakeHost, tmp_path: Path) -> None:
    opened = building(
        host, tmp_path, {"RestrictSUIDSGID": "no"}, settings={"buildah": BuildahConfig(user_numbers=FREE)}
    )

    assert only(check_buildah(opened)).verdict is Verdict.OK


def test_it_is_not_installed(host: MakeHost, tmp_path: Path) -> None:
    without = building(host, tmp_path)
    without = replace(without, environ={**without.environ, "PATH": str(tmp_path / "elsewhere")})

    found = next(iter(check_buildah(without)))

    assert (found.verdict, "apt-get install buildah" in found.fix) == (Verdict.FAIL, True)


def test_the_sandbox_of_the_unit_stands_in_the_way(host: MakeHost, tmp_path: Path) -> None:
    found = only(check_buildah(building(host, tmp_path, {"RestrictSUIDSGID": "yes"})))

    assert (found.verdict, "RestrictSUIDSGID=no" in found.fix) == (Verdict.FAIL, True)


def test_a_unit_that_is_not_installed_does_not(host: MakeHost, tmp_path: Path) -> None:
    properties = {"LoadState": "not-found", "RestrictSUIDSGID": "yes"}

    assert only(check_buildah(building(host, tmp_path, properties))).verdict is Verdict.OK


def test_builds_have_no_users(host: MakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    found = only(check_buildah(building(host, tmp_path, policy={"run_as_users": FREE})))

    assert (found.verdict, "launchd.buildah.user_numbers" in found.fix) == (Verdict.FAIL, True)


def test_the_numbers_of_builds_are_another_users(host: MakeHost, tmp_path: Path) -> None:
    numbers = UserNumbers(os.geteuid(), os.geteuid() + 65_535)

    found = list(check_buildah(building(host, tmp_path, settings={"buildah": BuildahConfig(user_numbers=numbers)})))

    assert found
    assert {one.verdict for one in found} == {Verdict.FAIL}
    assert "launchd.buildah.user_numbers" in found[0].fix
