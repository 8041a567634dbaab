"""What the packages hold: the same bytes each time, the same tree in both kinds, nothing that the linters refuse."""

import json
import subprocess
from pathlib import Path

import pytest

from launchd import config
from tests.packages.conftest import PACKAGING, ROOT, Built, build

pytestmark = [pytest.mark.root, pytest.mark.long, pytest.mark.timeout(900)]


def test_two_builds_are_the_same(built: Built, wheels: Path, tmp_path: Path) -> None:
    again = build("deb", tmp_path / "again", wheels)

    assert [deb.name for deb in again.debs] == [deb.name for deb in built.debs]
    assert [deb.name for deb, other in zip(built.debs, again.debs, strict=True) if differ(deb, other)] == []


def test_two_builds_of_the_rpm_are_the_same(built_rpm: Built, wheels: Path, tmp_path: Path) -> None:
    again = build("rpm", tmp_path / "again", wheels)

    assert [rpm.name for rpm, other in zip(built_rpm.rpms, again.rpms, strict=True) if differ(rpm, other)] == []


def test_lintian_finds_no_error(built: Built) -> None:
    (changes,) = built.directory.glob("*.changes")
    checked = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error", changes], capture_output=True, text=True, check=False
    )

    print(checked.stdout)  # noqa: T201
    assert checked.returncode == 0, checked.stdout


def test_rpmlint_finds_no_error(built_rpm: Built) -> None:
    rules = PACKAGING / "rpm" / "launch-agent.rpmlintrc.toml"
    checked = subprocess.run(["rpmlint", "-c", rules, *built_rpm.rpms], capture_output=True, text=True, check=False)

    print(checked.stdout)  # noqa: T201
    assert [line for line in checked.stdout.splitlines() if ": E: " in line] == []
    assert f"{len(built_rpm.rpms)} packages and 0 specfiles checked; 0 errors" in checked.stdout


@pytest.mark.parametrize("kind", ["deb", "rpm"])
def test_each_exception_to_a_linter_has_its_reason(kind: str) -> None:
    files = [*(PACKAGING / kind).glob("*.lintian-overrides"), *(PACKAGING / kind).glob("*.rpmlintrc.toml")]

    assert files
    for file in files:
        lines = [line.strip() for line in file.read_text().splitlines() if line.strip()]
        exceptions = [number for number, line in enumerate(lines) if line.startswith(('"', "launch-agent"))]
        groups = [number for number in exceptions if number - 1 not in exceptions]
        assert [lines[number] for number in groups if not lines[number - 1].startswith("#")] == []


def test_deb_and_rpm_hold_the_same_files(built: Built, built_rpm: Built, tmp_path: Path) -> None:
    deb, rpm = tmp_path / "deb", tmp_path / "rpm"
    for package in built.debs:
        subprocess.run(["dpkg-deb", "--extract", package, deb], check=True)
    rpm.mkdir()
    for package in built_rpm.rpms:
        archive = subprocess.run(["rpm2cpio", package], check=True, capture_output=True).stdout
        subprocess.run(["cpio", "-idm", "--quiet"], input=archive, cwd=rpm, check=True)
    units = deb / "lib" / "systemd"
    if units.is_dir():
        units.rename(deb / "usr" / "lib" / "systemd")
    zsh = deb / "usr" / "share" / "zsh"
    (zsh / "vendor-completions").rename(zsh / "site-functions")

    held = files(deb)
    assert len(held) > 1000
    other = files(rpm)
    assert [path for path in held.keys() | other.keys() if held.get(path) != other.get(path)] == []


def test_the_list_of_parts_names_what_the_lock_files_name(built: Built, tmp_path: Path) -> None:
    (package,) = (deb for deb in built.debs if deb.name.startswith("launch-agent-common"))
    subprocess.run(["dpkg-deb", "--extract", package, tmp_path], check=True)
    parts = json.loads((tmp_path / "usr/lib/launch-agent/sbom.cdx.json").read_text())["components"]

    locked = (ROOT / "requirements" / "server.lock").read_text()
    names = {line.split("==")[0] for line in locked.splitlines() if line[:1].isalpha()} - {"setuptools"}
    assert names <= {part["purl"].removeprefix("pkg:pypi/").split("@")[0] for part in parts}
    assert all(part["version"] for part in parts)


def test_the_example_configuration_is_read(tmp_path: Path) -> None:
    example = PACKAGING / "config" / "launch-config.yaml"

    loaded = config.load(str(example), {"HOME": str(tmp_path)}, config.Flags())

    assert config.check_job_users(loaded.config, 0) == loaded.warnings == ()
    assert loaded.config.queues == ("default",)


def differ(one: Path, other: Path) -> bool:
    return one.read_bytes() != other.read_bytes()


def files(root: Path) -> dict[str, tuple[str, int]]:
    """Return target or content, and mode, by path; not what each kind has for itself."""
    return {
        str(path.relative_to(root)): (content(path), path.lstat().st_mode)
        for path in root.rglob("*")
        if (path.is_symlink() or path.is_file()) and not of_its_kind(path.relative_to(root))
    }


def of_its_kind(path: Path) -> bool:
    return path.parts[:2] == ("usr", "share") or "__pycache__" in path.parts


def content(path: Path) -> str:
    return str(path.readlink()) if path.is_symlink() else path.read_bytes().hex()
