"""A program for the inside of an image: it installs frozen requirements one by one where they do not install together.

    python install_frozen.py FILE

As W&B's image builder does: no dependencies are resolved, since the list is whole; a package that cannot be installed
is left out and named at the end, and the image is built without it. Standard library alone, for any Python.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

#: Begins the line with what was not installed.
MARK = "launchd: not installed: "

_TORCH = re.compile(r"(?:torch|torchvision|torchaudio)==[^\s;]+\+(?P<platform>cu\d+|cpu|rocm[\d.]+)")
_TORCH_INDEX = "https://download.pytorch.org/whl/"
_DEVELOPMENT = re.compile(r"wandb==\S*dev\S*")


def wanted(text: str) -> list[str]:
    """Return the requirements in the text of a file, as they are to be installed."""
    lines = (line.split(" #")[0].strip() for line in text.splitlines())
    return [_installable(line) for line in lines if line and not line.startswith("#")]


def _installable(line: str) -> str:
    if _DEVELOPMENT.fullmatch(line):
        return "wandb"
    name, at, address = line.partition("@")
    # `NAME @ ADDRESS`, and not `-e git+ssh://git@...`.
    return address.strip() if at and re.fullmatch(r"[\w.\-\[\],]+ *", name) else line


def options_for(requirement: str) -> list[str]:
    """Return the options of pip for one requirement: PyTorch has an index for each kind of accelerator."""
    torch = _TORCH.match(requirement)
    return ["--extra-index-url", _TORCH_INDEX + torch["platform"]] if torch else []


def install(requirements: list[str]) -> list[str]:
    """Install ``requirements``; return those that could not be."""
    options = sorted({option for one in requirements for option in options_for(one)}, reverse=True)
    indexes = [part for option in options if option != "--extra-index-url" for part in ("--extra-index-url", option)]
    if not requirements or _pip(indexes, requirements):
        return []
    return [one for one in requirements if not _pip(options_for(one), [one])]


def _pip(options: list[str], requirements: list[str]) -> bool:
    words = [word for one in requirements for word in (one.split(None, 1) if one.startswith("-") else [one])]
    command = [sys.executable, "-m", "pip", "install", "--no-input", "--no-deps", *options, *words]
    return subprocess.run(command, check=False).returncode == 0


def main(path: str) -> int:
    """Install what the file ``path`` lists."""
    left_out = install(wanted(Path(path).read_text(encoding="utf-8", errors="replace")))
    if left_out:
        sys.stdout.write(MARK + ", ".join(left_out) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
