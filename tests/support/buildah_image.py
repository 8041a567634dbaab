"""A container image with buildah, a shell and tar, made of this machine's own programs: for builds in pods."""

import re
import shutil
import subprocess
from pathlib import Path

from tests.support.registries import Buildah, require

_LIBRARY = re.compile(r"(?:=> )?(/\S+) \(0x")


def push_buildah_image(by_hand: Buildah, directory: Path, reference: str) -> None:
    """Push the image as ``reference``; it is put together in the empty directory ``directory``."""
    require("buildah", "busybox")
    files = directory / "buildah-image"
    for name in ("bin", "etc/containers", "tmp", "var/tmp", "usr/bin", "proc", "sys", "dev", "run", "root"):
        (files / name).mkdir(parents=True, exist_ok=True)
    for program in ("/usr/bin/buildah", *_libraries("/usr/bin/buildah")):
        _copy(Path(program), files)
    _copy(Path(shutil.which("busybox") or ""), files, "bin/busybox")
    for tool in ("sh", "tar", "gzip", "cat", "mkdir", "rm", "ls", "id"):
        (files / "bin" / tool).symlink_to("busybox")
    _copy(Path("/etc/containers/policy.json"), files)
    (files / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (files / "etc/group").write_text("root:x:0:\n")
    container = by_hand("from", "scratch")
    by_hand("add", container, str(files), "/")
    by_hand("config", "--env=PATH=/usr/bin:/bin", "--env=HOME=/root", container)
    by_hand("commit", "--quiet", "--rm", container, reference)
    by_hand("push", "--quiet", "--tls-verify=false", reference, f"docker://{reference}")


def _libraries(program: str) -> list[str]:
    shown = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return _LIBRARY.findall(shown)


def _copy(path: Path, root: Path, name: str = "") -> None:
    target = root / (name or str(path).lstrip("/"))
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path.resolve(), target)
