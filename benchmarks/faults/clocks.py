"""Wall clocks that can be set for some processes alone, by a library that these preload."""

import struct
import subprocess
from pathlib import Path

from benchmarks.faults.requirements import CannotRun

SOURCE = Path(__file__).with_name("clock_shift.c")

#: Steps of a clock, in seconds.
STEPS = (-86400.0, -3600.0, -90.0, -5.0, 5.0, 90.0, 3600.0, 86400.0)


class Clocks:
    """The library, and the shift of the wall clock for each of some roles."""

    def __init__(self, directory: Path, roles: tuple[str, ...]) -> None:
        """Build the library in ``directory``; raises ``CannotRun`` where the C compiler refuses."""
        directory.mkdir()
        self._library = directory / "clock_shift.so"
        self._directory = directory
        try:
            command = ["cc", "-O2", "-shared", "-fPIC", "-o", str(self._library), str(SOURCE)]
            subprocess.run(command, check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError as error:
            raise CannotRun("clock", f"the library cannot be built: {error.stderr}") from None
        for role in roles:
            self.shift(role, 0.0)

    def environment(self, role: str) -> dict[str, str]:
        """Return the variables that give a process, and what it starts, the clock of ``role``."""
        return {"LD_PRELOAD": str(self._library), "LAUNCHD_CLOCK_SHIFT": str(self._file(role))}

    def shift(self, role: str, seconds: float) -> None:
        """Have the clock of ``role`` differ from the machine's by ``seconds``."""
        # In place: the file is mapped by those who read it.
        with self._file(role).open("r+b" if self._file(role).exists() else "wb") as file:
            file.write(struct.pack("=q", int(seconds * 1e9)))

    def _file(self, role: str) -> Path:
        return self._directory / f"{role}.shift"
