"""What an installer resolved requirements to, as far as it can be shared: wheels with their hashes. Pure."""

import posixpath
import tomllib
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

import msgspec
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version


class NotShareable(Exception):
    """Requirements do not resolve to hashed wheels alone; the text says why, as a part of a sentence."""


class Wheel(msgspec.Struct, frozen=True, order=True):
    """One wheel of a resolution.

    ``files`` are the names of the wheels that may be installed for it, each with its SHA-256; an installer that knows
    which one it takes names that alone. ``url`` is where it lies, empty for one of a package index.
    """

    name: str
    version: str
    files: tuple[tuple[str, str], ...]
    url: str = ""

    def line(self) -> str:
        """Return the line of a requirements file that installs this and nothing else."""
        what = f"{self.name} @ {self.url}" if self.url else f"{self.name}=={self.version}"
        return " ".join((what, *(f"--hash=sha256:{digest}" for _, digest in self.files)))


class _File(msgspec.Struct, frozen=True):
    url: str = ""
    path: str = ""
    hashes: dict[str, str] = {}


class _Package(msgspec.Struct, frozen=True):
    name: str
    wheels: list[_File] = []
    archive: _File | None = None


class _Pylock(msgspec.Struct, frozen=True):
    packages: list[_Package] = []


class _ArchiveInfo(msgspec.Struct, frozen=True):
    """Of PEP 610; pip before 23.1 knows the older ``hash`` alone, as `sha256=ab12`."""

    hashes: dict[str, str] = {}
    hash: str = ""

    def all_hashes(self) -> dict[str, str]:
        name, _, digest = self.hash.partition("=")
        return self.hashes or ({name: digest} if digest else {})


class _DownloadInfo(msgspec.Struct, frozen=True):
    url: str
    archive_info: _ArchiveInfo | None = None


class _Metadata(msgspec.Struct, frozen=True):
    name: str


class _Installed(msgspec.Struct, frozen=True):
    download_info: _DownloadInfo
    metadata: _Metadata
    is_direct: bool = False


class _Report(msgspec.Struct, frozen=True):
    install: list[_Installed]


def wheels_of_pylock(data: bytes) -> tuple[Wheel, ...]:
    """Return the wheels in a ``pylock.toml`` (PEP 751), as uv writes it for one interpreter.

    Raises:
        NotShareable: something in it is no wheel, or has no hash.
    """
    try:
        lock = msgspec.convert(tomllib.loads(data.decode()), _Pylock)
    except (ValueError, msgspec.ValidationError) as error:
        raise NotShareable("the installer's answer cannot be read") from error
    return tuple(sorted(map(_of_package, lock.packages)))


def wheels_of_report(data: bytes) -> tuple[Wheel, ...]:
    """Return the wheels in a report of ``pip install --report``.

    Raises:
        NotShareable: something in it is no wheel, or has no hash.
    """
    try:
        report = msgspec.json.decode(data, type=_Report)
    except msgspec.DecodeError as error:
        raise NotShareable("the installer's answer cannot be read") from error
    return tuple(sorted(map(_of_installed, report.install)))


def _of_package(package: _Package) -> Wheel:
    if package.archive is not None:
        return _wheel(package.name, [package.archive], package.archive.url)
    return _wheel(package.name, package.wheels)


def _of_installed(installed: _Installed) -> Wheel:
    info = installed.download_info
    files = [] if info.archive_info is None else [_File(url=info.url, hashes=info.archive_info.all_hashes())]
    return _wheel(installed.metadata.name, files, info.url if installed.is_direct else "")


def _wheel(name: str, files: Iterable[_File], url: str = "") -> Wheel:
    named = sorted((_file_name(file), file.hashes.get("sha256", "")) for file in files)
    if not named:
        raise NotShareable(f"{name} is no wheel")
    if not all(digest for _, digest in named):
        raise NotShareable(f"{name} has no hash")
    versions = {_version(name, file) for file, _ in named}
    if len(versions) > 1:
        raise NotShareable(f"{name} has several versions")
    return Wheel(canonicalize_name(name), str(versions.pop()), tuple(named), url)


def _file_name(file: _File) -> str:
    return posixpath.basename(unquote(urlsplit(file.url or file.path).path))


def _version(name: str, file: str) -> Version:
    try:
        found, version, *_ = parse_wheel_filename(file)
    except (InvalidWheelFilename, InvalidVersion) as error:
        raise NotShareable(f"{name} is no wheel") from error
    if found != canonicalize_name(name):
        raise NotShareable(f"{name} comes in a wheel of {found}")
    return version
