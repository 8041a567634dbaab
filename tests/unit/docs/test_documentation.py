"""The documentation says what is so: commands, keys, states, paths and links in it exist, and none is missing."""

import ast
import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest

from ipc.exits import WorkerExit
from ipc.failpoints import FAILPOINTS
from ipc.states import JobState, status_word
from launchd.cli import main as command_line
from tests.support.source_tree import SourceTree

ROOT = Path(__file__).parents[3]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md"), *ROOT.glob("packaging/*.md")]
)
#: What is said of later issues need not exist.
PAGES_OF_TODAY = [page for page in PAGES if page.name != "roadmap.md"]

CODE_SPAN = re.compile(r"`([^`\n]+)`")
FENCED = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)(?P<path>[^)#]*)(?:#(?P<anchor>[^)]*))?\)")
OUR_PATH = re.compile(r"(?:launchd|workers|ipc|tests|docs|examples|packaging)/[\w./-]*")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


every_page = pytest.mark.parametrize("page", PAGES_OF_TODAY, ids=name_of)


def prose(page: Path) -> str:
    return FENCED.sub("", page.read_text())


def spans(page: Path) -> list[str]:
    return CODE_SPAN.findall(prose(page))


def shell_lines(page: Path) -> Iterator[str]:
    for block in FENCED.finditer(page.read_text()):
        if block["language"] in ("sh", "console"):
            yield from (line.removeprefix("$ ") for line in block["text"].splitlines())


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_generated_parts_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert generator().main(["--check"]) == 0, capsys.readouterr().out


def test_a_part_that_is_out_of_date_is_seen() -> None:
    text = "<!-- generated: states -->\nold\n<!-- end -->"

    assert generator().regenerated(text) != text


# -- commands


def commands_in(page: Path) -> list[str]:
    texts = [*spans(page), *(part for line in shell_lines(page) for part in re.split(r"[;&|]+|\$\(", line))]
    stripped = (re.sub(r"^(sudo |[A-Z_]+=\S+ )+", "", text.strip()) for text in texts)
    return [text for text in stripped if re.match(r"launchd( --?[a-z]| [a-z])", text)]


def problem_of(command: str) -> str | None:
    """Return what is wrong with a command line of ours, as far as its words tell without running it."""
    # What comes after -- is somebody else's command.
    words = shlex.split(command.rstrip(")").partition(" -- ")[0], comments=True)[1:]
    here: click.Command | None = command_line
    while isinstance(here, click.Group) and words and not words[0].startswith("-"):
        here = here.get_command(click.Context(here), words.pop(0))
    if here is None:
        return f"there is no such command: {command!r}"
    known = {option for parameter in here.params for option in (*parameter.opts, *parameter.secondary_opts)} | {
        "--help"
    }
    unknown = [word for word in words if word.startswith("-") and word.partition("=")[0] not in known]
    return f"there is no option {unknown[0]} in {command!r}" if unknown else None


@every_page
def test_commands_exist(page: Path) -> None:
    assert [problem for command in commands_in(page) if (problem := problem_of(command))] == []


def test_commands_are_found_and_checked(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("`launchd fly` and `launchd status --loudly`\n```sh\nA=1 launchd sing; launchd status\n```\n")

    assert [bool(problem_of(command)) for command in commands_in(page)] == [True, True, True, False]


@every_page
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = [
        shlex.split(text, comments=True) for text in [*spans(page), *shell_lines(page)] if text.startswith("make ")
    ]
    words = {word for words in named for word in words[1:] if re.fullmatch(r"[a-z-]+", word)}

    assert words <= targets


# -- states, failpoints, exit codes


def rows_of(page: str) -> dict[str, list[str]]:
    lines = [line for line in (ROOT / page).read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].strip("`"): row for row in cells}


def test_every_state_is_described_with_its_status_word() -> None:
    rows = rows_of("docs/architecture.md")

    assert {state: rows.get(state, ["", "", "missing"])[2] for state in JobState} == {
        state: status_word(state) for state in JobState
    }


def test_every_failpoint_is_described() -> None:
    assert set(FAILPOINTS) <= set(rows_of("docs/testing.md"))


def test_every_exit_code_of_a_worker_is_described() -> None:
    text = (ROOT / "docs/errors.md").read_text()

    assert [code for code in WorkerExit if f"| {code.value} |" not in text] == []


def kinds_of_errors() -> set[str]:
    """Return every word that can stand in the field `kind` of an error report."""
    tree = SourceTree(ROOT)
    nodes = [node for module in tree.modules.values() for node in ast.walk(module.tree)]
    classes = {
        node.name: {ast.unparse(base) for base in node.bases} for node in nodes if isinstance(node, ast.ClassDef)
    }
    kinds = {"JobError"}
    while more := {name for name, bases in classes.items() if bases & kinds} - kinds:
        kinds |= more
    given = (call.args[1] for module in tree.modules.values() for call in module.calls("ErrorReport"))
    return kinds - {"JobError"} | {kind.value for kind in given if isinstance(kind, ast.Constant)}


def test_every_kind_of_error_is_described() -> None:
    assert kinds_of_errors() - set(rows_of("docs/errors.md")) == set()


# -- paths and links


@every_page
def test_paths_exist(page: Path) -> None:
    named = {text for text in spans(page) if OUR_PATH.fullmatch(text)}

    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    broken = [match[0] for match in LINK.finditer(prose(page)) if not leads_somewhere(page, match)]

    assert broken == []


def leads_somewhere(page: Path, link: re.Match[str]) -> bool:
    target = page.parent / link["path"] if link["path"] else page
    return target.exists() and (not link["anchor"] or link["anchor"] in anchors(target))


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_decision_is_in_the_list() -> None:
    listed = (ROOT / "docs/adr/README.md").read_text()

    assert [path.name for path in ROOT.glob("docs/adr/0*.md") if f"({path.name})" not in listed] == []


def test_every_page_is_found_from_the_first() -> None:
    first = (ROOT / "docs/README.md").read_text()
    pages = [page.name for page in (ROOT / "docs").glob("*.md") if page.name != "README.md"]

    assert [name for name in pages if f"{name})" not in first] == []
