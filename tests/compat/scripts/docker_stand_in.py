"""Stands in for ``docker`` where there is no engine: an image is a directory, a container a process in a copy of it.

Knows what W&B's clients ask to launch source code at once: ``image inspect``, ``build`` and ``run``. The directory of
images is named by ``DOCKER_IMAGES``; the options of every ``run`` are kept in it.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

IMAGES = Path(os.environ["DOCKER_IMAGES"])


def image(name: str) -> Path:
    return IMAGES / name.replace("/", "_")


def build(words: list[str]) -> int:
    tag, context = words[words.index("-t") + 1], Path(words[-1])
    shutil.copytree(context / "src", image(tag), dirs_exist_ok=True)
    return 0


def run(words: list[str]) -> int:
    options: list[tuple[str, str]] = []
    rest = iter(word for word in words if word != "--rm")
    for word in rest:
        if not word.startswith("-"):
            break
        options.append((word.lstrip("-"), next(rest)))
    name, arguments = word, list(rest)
    with (IMAGES / "runs").open("a") as log:
        log.write(json.dumps([name, options]) + "\n")
    entry_point = [value for option, value in options if option == "entrypoint"]
    command = entry_point + arguments
    own = dict(value.split("=", 1) for option, value in options if option in ("e", "env"))
    with tempfile.TemporaryDirectory() as container:
        shutil.copytree(image(name), container, dirs_exist_ok=True)
        environ = {variable: os.environ[variable] for variable in ("PATH", "HOME")} | own
        return subprocess.run(command, cwd=container, env=environ, check=False).returncode


def main(words: list[str]) -> int:
    match words:
        case ["--version"]:
            return 0
        case ["image", "inspect", name]:
            return 0 if image(name).is_dir() else 1
        case ["build", *rest]:
            return build(rest)
        case ["run", *rest]:
            return run(rest)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
