"""A driver of GPUs for hosts that have none: a library in the place of NVIDIA's, and the file by which it answers."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "parts" / "nvml" / "nvml_stub.c"
NAME = "libnvidia-ml.so.1"


class FakeDriver:
    """GPUs of a test. Each change is there with the next look at them."""

    def __init__(self, directory: Path, count: int, memory_mib: int = 80 * 1024) -> None:
        self._library = directory / "nvml"
        self._library.mkdir()
        _build(self._library / NAME)
        self._state = directory / "gpus.txt"
        self.gpus = [
            {
                "uuid": f"GPU-{index:08d}",
                "memory": memory_mib,
                "bus": f"0000:{index:02x}:00.0",
                "load": 0,
                "used": 0,
                "ecc": 0,
                "lost": 0,
                "mig": 0,
                "name": "NVIDIA Stub 80GB",
            }
            for index in range(count)
        ]
        #: Further lines of the library's file.
        self.lines: list[str] = []
        self.write()

    @property
    def environ(self) -> dict[str, str]:
        """The variables of a process that is to find this driver."""
        return {"LD_LIBRARY_PATH": str(self._library), "FAKE_NVML": str(self._state)}

    @property
    def uuids(self) -> list[str]:
        return [str(gpu["uuid"]) for gpu in self.gpus]

    def change(self, index: int, **fields: int | str) -> None:
        """Change what is said of one GPU."""
        self.gpus[index] |= fields
        self.write()

    def say(self, *lines: str) -> None:
        """Have these lines in the file, beside those of the GPUs."""
        self.lines = list(lines)
        self.write()

    def write(self) -> None:
        """Write the file, at once and whole."""
        fields = ("uuid", "memory", "bus", "load", "used", "ecc", "lost", "mig", "name")
        gpus = (" ".join(["gpu", *(str(gpu[field]) for field in fields)]) for gpu in self.gpus)
        descriptor, new = tempfile.mkstemp(dir=self._state.parent)
        with os.fdopen(descriptor, "w") as file:
            file.writelines(f"{line}\n" for line in (*gpus, *self.lines))
        Path(new).rename(self._state)


def _build(path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc, which builds the library in the place of NVIDIA's, is not installed")
    command = ["gcc", "-shared", "-fPIC", f"-Wl,-soname,{NAME}", "-o", str(path), str(SOURCE)]
    subprocess.run(command, check=True, capture_output=True)
