"""What a project's own lists leave out of its code: `.gitignore` as git reads it, and `.wandbignore` likewise.

Lists of the directories above count up to the top of the repository, and of git's own list in it.
"""

from collections.abc import Iterator
from pathlib import Path

from pathspec import GitIgnoreSpec

#: In each directory, the later one wins.
NAMES = (".gitignore", ".wandbignore")

_OF_REPOSITORY = Path(".git", "info", "exclude")


class IgnoreFiles:
    """The lists that count for a directory and all below it; each is read once."""

    def __init__(self, directory: Path) -> None:
        self._lists: dict[Path, tuple[GitIgnoreSpec, ...]] = {}
        self._top = next((path for path in (directory, *directory.parents) if (path / ".git").exists()), directory)

    def ignores(self, path: Path, *, is_directory: bool) -> bool:
        """Return whether ``path`` is left out; the last line that says something of it counts, the nearest list first.

        Raises:
            OSError: a list cannot be read.
        """
        for folder in self._folders(path):
            name = path.relative_to(folder).as_posix() + ("/" if is_directory else "")
            for rules in reversed(self._of(folder)):
                found = rules.check_file(name).include
                if found is not None:
                    return found
        return False

    def _folders(self, path: Path) -> Iterator[Path]:
        for folder in path.parents:
            yield folder
            if folder == self._top:
                return

    def _of(self, folder: Path) -> tuple[GitIgnoreSpec, ...]:
        if folder not in self._lists:
            own = [folder / _OF_REPOSITORY] if folder == self._top else []
            paths = [path for path in (*own, *(folder / name for name in NAMES)) if path.is_file()]
            self._lists[folder] = tuple(map(_read, paths))
        return self._lists[folder]


def _read(path: Path) -> GitIgnoreSpec:
    return GitIgnoreSpec.from_lines(path.read_text(errors="replace").splitlines())
