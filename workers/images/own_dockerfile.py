"""A submitter's own Dockerfile, where there is one: which, and with which context. W&B's order, in the agent's copy."""

from pathlib import Path

import msgspec

from ipc.errors import SourceError
from workers.sources import Project

#: Beside the file of the entry point it is the job's Dockerfile, without being named (W&B's).
IMPLIED = "Dockerfile.wandb"

_SCRIPTS = (".py", ".sh")
_MAX_BYTES = 1 << 20
_PLAIN_COMMAND_WORDS = 2


class OwnDockerfile(msgspec.Struct, frozen=True):
    """A Dockerfile with its context; ``entry_point`` replaces the project's where the context is a part of it."""

    text: str
    context: Path
    entry_point: tuple[str, ...] = ()


def find_own(tree: Path, project: Project, named: str | None, entry_point: tuple[str, ...]) -> OwnDockerfile | None:
    """Return the project's own Dockerfile, None where one has to be written.

    ``tree`` is a copy of the project without links out of it, ``named`` the Dockerfile that the submitter named for
    this run, ``entry_point`` the command of the job.

    Raises:
        SourceError: a Dockerfile or a context that is named is not in the project.
    """
    root = context_root(tree, project)
    wanted = named or project.dockerfile
    if wanted:
        return OwnDockerfile(_text(_inside(tree, root / wanted, f"The Dockerfile {wanted}")), root)
    beside = Path(_script(entry_point) or "").parent
    implied = root / beside / IMPLIED
    if ".." in beside.parts or beside.is_absolute() or not implied.is_file():
        return None
    return OwnDockerfile(_text(implied), root / beside, _moved(entry_point) if beside.parts else ())


def context_root(tree: Path, project: Project) -> Path:
    """Return the job's build context; the whole project where it names none. Raises :class:`SourceError`."""
    return inside_tree(tree, Path(project.build_context or ""))


def inside_tree(tree: Path, inside: Path) -> Path:
    """Return the directory ``inside`` the copy ``tree``, links followed; raises :class:`SourceError` without one."""
    if inside == Path():
        return tree
    root = _inside(tree, tree / inside, f"The directory {inside}")
    if not root.is_dir():
        raise SourceError(f"{inside} is no directory of the project.", hint="Correct its path in the job.")
    return root


def _inside(tree: Path, path: Path, what: str) -> Path:
    """Return ``path`` with all links followed."""
    try:
        resolved = path.resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise SourceError(f"{what} is not in the project.", hint="Correct its path in the job.") from error
    if not resolved.is_relative_to(tree.resolve()):
        raise SourceError(f"{what} leads out of the project.", hint="Correct its path in the job.")
    return resolved


def _text(path: Path) -> str:
    if not path.is_file() or path.stat().st_size > _MAX_BYTES:
        raise SourceError(f"The job's Dockerfile is no file of at most {_MAX_BYTES >> 20} MiB.", hint="Correct it.")
    try:
        return path.read_text()
    except UnicodeDecodeError as error:
        raise SourceError("The job's Dockerfile is no text in UTF-8.", hint="Correct it.") from error


def _script(entry_point: tuple[str, ...]) -> str | None:
    """Return the file that a command runs: its last word that is a script, else its second, much as W&B has it."""
    second = entry_point[1] if len(entry_point) > 1 else None
    return next((word for word in reversed(entry_point) if word.endswith(_SCRIPTS)), second)


def _moved(entry_point: tuple[str, ...]) -> tuple[str, ...]:
    """Return a command whose script lies at the top of a context of its own, as W&B rewrites it."""
    interpreter = entry_point[0]
    is_plain = len(entry_point) == _PLAIN_COMMAND_WORDS and (interpreter == "bash" or interpreter.startswith("python"))
    return (interpreter, Path(entry_point[1]).name) if is_plain else ()
