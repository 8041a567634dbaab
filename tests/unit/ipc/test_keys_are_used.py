"""Every key of a run spec and of a job's file does something: what is parsed is read somewhere."""

import ast
from functools import cache
from pathlib import Path

import msgspec
import pytest

from ipc.run_spec import GitSpec, Overrides, RunSpec
from launchd.client.job_file import GitCommit, JobFile, JobSource

ROOT = Path(__file__).parents[3]

#: What reads them: the agent and its workers. A submitter's command line alone is no reader.
READERS = ("ipc", "workers", "launchd/agent")

#: By what is parsed: what the code calls a value of it.
NAMES: dict[type[msgspec.Struct], frozenset[str]] = {
    RunSpec: frozenset({"spec", "_spec"}),
    Overrides: frozenset({"overrides"}),
    GitSpec: frozenset({"git", "wanted"}),
    JobFile: frozenset({"job"}),
    JobSource: frozenset({"source"}),
    GitCommit: frozenset({"git"}),
}

#: What is read in another way, and what W&B's clients write for themselves, for which no agent has a use.
UNREAD = {
    (JobFile, "input_types"): "what its job builder saw of a run's configuration",
    (JobFile, "output_types"): "what it saw of a run's summary",
    (JobFile, "version"): "both versions have the same keys",
}

KEYS = [(kind, field) for kind in NAMES for field in kind.__struct_fields__ if (kind, field) not in UNREAD]


@cache
def reads() -> frozenset[tuple[str, str]]:
    """All that is read of something with a name, as name and attribute: `spec.git` is `("spec", "git")`."""
    paths = [path for folder in READERS for path in (ROOT / folder).rglob("*.py")]
    nodes = (node for path in paths for node in ast.walk(ast.parse(path.read_text())))
    return frozenset(
        (owner, node.attr)
        for node in nodes
        if isinstance(node, ast.Attribute) and (owner := last_word(node.value)) is not None
    )


def last_word(node: ast.expr) -> str | None:
    match node:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
        case _:
            return None


@pytest.mark.parametrize(("kind", "field"), KEYS)
def test_it_is_read(kind: type[msgspec.Struct], field: str) -> None:
    assert any((name, field) in reads() for name in NAMES[kind]), f"{kind.__name__}.{field} is parsed and used nowhere"


def test_what_is_not_read_is_not_read() -> None:
    assert [field for kind, field in UNREAD if any((name, field) in reads() for name in NAMES[kind])] == []
