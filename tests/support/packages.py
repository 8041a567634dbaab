"""Python packages made by tests, and a package index that serves them on the loopback address."""

import base64
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.http_servers import LocalServer, QuietHandler, serving

#: A build backend in the project itself, which needs no other package. It appends who runs it to the file ``builders``
#: named below and makes a wheel of the module ``NAME.py`` beside it.
_BACKEND = """
import json, os, zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    with open({log!r}, "a") as log:
        print(json.dumps({{"uid": os.getuid(), "environment": dict(os.environ)}}), file=log)
    wheel = "{name}-{version}-py3-none-any.whl"
    info = "{name}-{version}.dist-info"
    with zipfile.ZipFile(os.path.join(directory, wheel), "w") as file:
        file.write("{name}.py")
        file.writestr(info + "/METADATA", "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
        file.writestr(info + "/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        file.writestr(info + "/RECORD", "")
    return wheel
"""
_PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "{name}"
version = "{version}"
"""


def write_wheel(
    directory: Path, name: str, version: str, files: Mapping[str, str] | None = None, requires: Iterable[str] = ()
) -> Path:
    """Write a wheel of the module ``name``, or of ``files``, into ``directory``; return its path."""
    info = f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    content = {
        **({f"{name}.py": f"VERSION = {version!r}\n"} if files is None else files),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in (*content, f"{info}/RECORD"))
    target = directory / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(target, "w") as wheel:
        for path, text in (*content.items(), (f"{info}/RECORD", record)):
            wheel.writestr(path, text)
    target.chmod(0o644)
    return target


def project_files(name: str, version: str, module: str, log: Path) -> dict[str, str]:
    """Return the files of a project that has to be built; who builds it is noted in ``log``."""
    return {
        "pyproject.toml": _PROJECT.format(name=name, version=version),
        "backend.py": _BACKEND.format(name=name, version=version, log=str(log)),
        f"{name}.py": module,
    }


def write_files(directory: Path, files: Mapping[str, str]) -> None:
    """Write ``files``, by their paths from ``directory``."""
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def write_sdist(directory: Path, name: str, version: str, log: Path) -> Path:
    """Write the source of a package into ``directory``; who builds it is noted in ``log``."""
    target = directory / f"{name}-{version}.tar.gz"
    files = project_files(name, version, f"VERSION = {version!r}\n", log)
    info = {"PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"}
    with tarfile.open(target, "w:gz") as archive:
        for path, text in {**files, **info}.items():
            member = tarfile.TarInfo(f"{name}-{version}/{path}")
            member.size, member.mtime = len(text.encode()), 1_000_000_000
            archive.addfile(member, io.BytesIO(text.encode()))
    return target


class PackageIndex(LocalServer):
    """A package index (PEP 503) of the wheels and sources in ``directory``; ``requests`` are the paths asked for.

    With ``login``, a user and a password, it answers no one else.
    """

    def __init__(self, directory: Path, login: tuple[str, str] | None = None, host: str = "127.0.0.1") -> None:
        super().__init__(_Handler, host)
        self.directory = directory
        self.requests: list[str] = []
        self.accepts = "Basic " + base64.b64encode(":".join(login).encode()).decode() if login else None
        self.login = login

    @property
    def simple(self) -> str:
        """The address for ``--index-url``, without a password."""
        return f"{self.url}/simple"

    @property
    def simple_with_login(self) -> str:
        """The address with user and password."""
        assert self.login is not None
        return self.simple.replace("http://", f"http://{':'.join(self.login)}@")


class _Handler(QuietHandler):
    server: PackageIndex

    def do_GET(self) -> None:  # noqa: N802 - the name in the standard library
        self.server.requests.append(self.path)
        if self.server.accepts not in (None, self.headers.get("Authorization")):
            self.answer(401, b"", {"WWW-Authenticate": 'Basic realm="packages"'})
            return
        kind, _, name = self.path.strip("/").partition("/")
        if kind == "simple":
            self._list(name.strip("/"))
        else:
            self._send(name)

    do_HEAD = do_GET  # noqa: N815 - likewise

    def _list(self, name: str) -> None:
        files = sorted(self.server.directory.glob(f"{name}-*"))
        links = (f'<a href="/files/{file.name}#sha256={_digest(file)}">{file.name}</a>' for file in files)
        status = 200 if files else 404
        self.answer(status, f"<html><body>{''.join(links)}</body></html>".encode(), {"Content-Type": "text/html"})

    def _send(self, name: str) -> None:
        file = self.server.directory / Path(name).name
        found = file.is_file()
        self.answer(200 if found else 404, file.read_bytes() if found else b"")


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@contextmanager
def package_index(
    directory: Path, login: tuple[str, str] | None = None, host: str = "127.0.0.1"
) -> Iterator[PackageIndex]:
    """Serve the packages in ``directory`` while the block lasts."""
    with serving(PackageIndex(directory, login, host)) as index:
        yield index
