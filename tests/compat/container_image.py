"""Container images with a version of W&B's client in them: its virtual environment, with this machine's Python.

Everything lies in an image where it lies here, so no registry and no package index is needed for it.
"""

import json
import os
import subprocess
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import docker

from tests.compat.clients import WandbClient
from tests.support.engine import TestEngine, add_base_files

#: It takes the engine a while to unpack.
IMPORT_SECONDS = 150

#: Lists the files of the packages that are its arguments and of all they need, and where Python and its library are.
_LIST = """
import json, os, re, sys, sysconfig
from importlib import metadata

def needed(name, found):
    try:
        package = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return found
    if package.name not in found:
        found[package.name] = package
        for line in package.requires or ():
            if "extra ==" not in line:
                needed(re.match(r"[A-Za-z0-9._-]+", line)[0], found)
    return found

packages = {}
for name in sys.argv[1:]:
    needed(name, packages)
files = [str(path.locate()) for package in packages.values() for path in package.files or ()]
said = {"files": files, "stdlib": sysconfig.get_path("stdlib"), "python": os.path.realpath(sys.executable)}
json.dump(said, sys.stdout)
"""

_LEFT_OUT = ("__pycache__", "test", "idlelib", "ensurepip", "dist-packages")


def make_client_image(
    client: WandbClient,
    engine: TestEngine,
    name: str,
    code: Path,
    entry_point: Sequence[str],
    directory: Path,
    packages: Sequence[str] = ("wandb",),
) -> None:
    """Make the image ``name``, which runs ``entry_point`` in ``code``; ``directory`` is for the archive.

    ``packages`` are taken from the client's environment, with all they need.
    """
    archive = directory / "image.tar"
    with tarfile.open(archive, "w", dereference=True) as made:
        add_base_files(made)
        for path in _paths(client, code, packages):
            made.add(path, str(path).lstrip("/"), recursive=False)
    changes = [
        f"ENV PATH={client.home}/bin:/bin",
        f"WORKDIR {code}",
        f"ENTRYPOINT {json.dumps(list(entry_point))}",
    ]
    repository, _, tag = name.rpartition(":")
    with closing(docker.APIClient(base_url=engine.address, version="auto", timeout=IMPORT_SECONDS)) as connected:
        connected.import_image_from_file(str(archive), repository=repository, tag=tag, changes=changes)
    archive.unlink()


def _paths(client: WandbClient, code: Path, packages: Sequence[str]) -> Iterable[Path]:
    """Yield the files of the image, each once."""
    said = json.loads(subprocess.check_output([str(client.python), "-c", _LIST, *packages], text=True))
    venv = [client.home / "pyvenv.cfg", *(client.home / "bin" / name for name in ("python", "python3"))]
    files = [
        Path(said["python"]),
        *venv,
        *_tree(Path(said["stdlib"])),
        # Programs of a package are named by a way up from its files.
        *(Path(os.path.normpath(path)) for path in said["files"] if "__pycache__" not in path),
        *_tree(code),
    ]
    real = dict.fromkeys(path for path in files if path.is_file())
    return dict.fromkeys([*real, *_libraries(real)])


def _tree(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.rglob("*")):
        if path.is_file() and not set(_LEFT_OUT) & set(path.relative_to(directory).parts):
            yield path


def _libraries(files: Iterable[Path]) -> list[Path]:
    """Return the shared libraries that programs and modules among ``files`` are linked to, with the loader."""
    linked = [str(path) for path in files if path.suffix == ".so" or _is_program(path)]
    said = subprocess.run(["ldd", *linked], capture_output=True, text=True, check=False).stdout
    words = [os.path.normpath(word) for line in said.splitlines() for word in line.split() if word.startswith("/")]
    return [Path(word) for word in dict.fromkeys(words) if not word.endswith(":") and Path(word).is_file()]


def _is_program(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"
