"""The program that installs frozen requirements inside an image."""

import ensurepip
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.support.packages import write_wheel
from workers.images import install_frozen


@pytest.mark.parametrize(
    ("line", "installed"),
    [
        ("a==1", "a==1"),
        ("wandb==0.19.2.dev1", "wandb"),
        ("wandb==0.19.2", "wandb==0.19.2"),
        ("a @ https://example.com/a-1.whl", "https://example.com/a-1.whl"),
        ("a[x,y]@https://example.com/a-1.whl", "https://example.com/a-1.whl"),
        ("-e git+ssh://git@example.com/a#egg=a", "-e git+ssh://git@example.com/a#egg=a"),
        ("a==1  # why", "a==1"),
    ],
)
def test_a_line_is_made_one_that_can_be_installed(line: str, installed: str) -> None:
    assert install_frozen.wanted(f"# a list\n\n{line}\n") == [installed]


@pytest.mark.parametrize(
    ("requirement", "index"),
    [
        ("torch==2.1.0+cu118", "cu118"),
        ("torchvision==0.16.0+cpu", "cpu"),
        ("torch==2.1.0", None),
        ("other==2.1.0+cu118", None),
    ],
)
def test_pytorch_has_indexes_of_its_own(requirement: str, index: str | None) -> None:
    wanted = ["--extra-index-url", f"https://download.pytorch.org/whl/{index}"] if index else []

    assert install_frozen.options_for(requirement) == wanted


def environment_with_pip(directory: Path) -> Path:
    """Make a virtual environment, unpacking Python's own pip, which takes a tenth of installing it; its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory)], check=True)
    # Debian keeps it apart from the library.
    places = sysconfig.get_config_var("WHEEL_PKG_DIR"), Path(ensurepip.__file__).parent / "_bundled"
    wheel = next(wheel for place in places if place for wheel in Path(place).glob("pip-*.whl"))
    (library,) = directory.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(library)
    return directory / "bin" / "python"


def test_what_cannot_be_installed_is_left_out_and_named(tmp_path: Path) -> None:
    write_wheel(tmp_path, "tiny", "1")
    write_wheel(tmp_path, "needy", "1", requires=["nowhere"])
    frozen = tmp_path / "frozen.txt"
    frozen.write_text("tiny==1\nmissing==3\nneedy==1\n")
    python = str(environment_with_pip(tmp_path / "env"))

    done = subprocess.run(
        [python, install_frozen.__file__, str(frozen)],
        env={"PATH": "/usr/bin:/bin", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines()[-1] == "launchd: not installed: missing==3"
    subprocess.run([python, "-c", "import tiny, needy"], check=True)
