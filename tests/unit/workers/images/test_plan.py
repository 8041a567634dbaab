"""An image's files, Dockerfile and name, from projects on the disk."""

import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ipc.errors import BuildError, InvalidSpec, JobCancelled, PolicyRefused, SourceError
from ipc.policy_rules import ContainerRules, PolicyRules
from ipc.settings import DockerConfig
from workers.context import JobContext, StopSignal
from workers.images import ImagePlan
from workers.images.build_area import open_build_area
from workers.images.plan import plan_image
from workers.sources import Project

DOCKER = DockerConfig(base_image="python:{version}-bookworm")


class Names:
    """A registry, as far as a plan needs one."""

    def repository(self, entity: str, project: str) -> str:
        return f"localhost/launchd/{entity}/{project}"


class Seen:
    """A plan, with what was in its context before that was removed."""

    def __init__(self, plan: ImagePlan) -> None:
        self.plan = plan
        self.dockerfile = plan.dockerfile.read_text()
        self.files = {
            str(path.relative_to(plan.context)): path.read_bytes()
            for path in plan.context.rglob("*")
            if path.is_file() and not path.is_symlink()
        }


PlanMaker = Callable[..., Seen]


@pytest.fixture
def make_plan(make_context: Callable[..., JobContext]) -> PlanMaker:
    """Plans of projects with the given files; ``project`` are further fields of :class:`Project`."""
    numbers = iter(range(1000))

    def make(
        files: dict[str, str],
        spec: dict[str, Any] | None = None,
        project: dict[str, Any] | None = None,
        prepare: Callable[[Path], None] = lambda _work: None,
        **order: Any,
    ) -> Seen:
        plain = {"resource": "local-container"}
        order = {"docker": DOCKER} | order
        context = make_context(f"launchd-{next(numbers)}-1", spec={**plain, **(spec or {})}, **order)
        for name, text in files.items():
            path = context.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        prepare(context.work)
        fields = {"entry_point": ("python", "main.py"), "python": "3.11"} | (project or {})
        with open_build_area(context) as area:
            return Seen(plan_image(Project(context.work, **fields), context, Names(), area))

    return make


MAIN = {"main.py": "print(1)\n"}


def test_a_script_without_requirements(make_plan: PlanMaker) -> None:
    seen = make_plan(MAIN)

    assert seen.dockerfile.startswith("FROM python:3.11-bookworm\n")
    assert 'ENTRYPOINT ["python", "main.py"]' in seen.dockerfile
    assert seen.files["src/main.py"] == b"print(1)\n"
    assert seen.plan.reference.startswith("localhost/launchd/ada/engine:")
    assert seen.plan.labels == {"launchd.built": "ada/engine"}


def test_requirements_are_written_out_with_the_files_that_they_include(make_plan: PlanMaker) -> None:
    files = {"requirements.txt": "-r more.txt\n-c limits.txt\na==1\n", "more.txt": "b\n", "limits.txt": "b<2\n"}
    seen = make_plan(MAIN | files)

    assert seen.files["launchd/requirements.txt"] == b"-c constraints.txt\nb\na==1\n"
    assert seen.files["launchd/constraints.txt"] == b"b<2\n"
    assert "-r /opt/launchd/requirements.txt" in seen.dockerfile


def test_a_project_that_has_to_be_built_is_there_when_it_is(make_plan: PlanMaker) -> None:
    seen = make_plan(MAIN | {"requirements.txt": "-e .\n"})

    assert "COPY src/ ./\n" in seen.dockerfile
    assert "-r requirements.txt" in seen.dockerfile


def test_the_dependencies_of_a_pyproject_count(make_plan: PlanMaker) -> None:
    seen = make_plan(MAIN | {"pyproject.toml": '[project]\nname = "a"\nversion = "1"\ndependencies = ["b"]\n'})

    assert seen.files["launchd/requirements.txt"] == b"b\n"


def test_frozen_requirements_have_an_installer_that_leaves_out_what_fails(make_plan: PlanMaker) -> None:
    seen = make_plan(MAIN | {"requirements.frozen.txt": "b==1\n"})

    assert seen.files["launchd/requirements.frozen.txt"] == b"b==1\n"
    assert "python /opt/launchd/install_frozen.py /opt/launchd/requirements.frozen.txt" in seen.dockerfile


def test_requirements_are_those_of_the_build_context(make_plan: PlanMaker) -> None:
    files = {"inner/requirements.txt": "b\n", "requirements.txt": "a\n"}
    seen = make_plan(MAIN | files, project={"build_context": "inner"})

    assert seen.files["launchd/requirements.txt"] == b"b\n"
    assert "WORKDIR /home/job/inner\nENV PYTHONUNBUFFERED" in seen.dockerfile


def test_requirements_that_need_the_project_are_installed_in_its_context(make_plan: PlanMaker) -> None:
    files = {"inner/requirements.txt": "-e .\n", "inner/deep er/train.py": ""}
    seen = make_plan(MAIN | files, project={"build_context": "inner", "working_dir": "deep er"})

    assert "cd inner && " in seen.dockerfile
    assert "WORKDIR /home/job/inner/deep er\n" in seen.dockerfile


def tags(make_plan: PlanMaker, *calls: tuple[dict[str, str], dict[str, Any]]) -> list[str]:
    return [make_plan(files, **options).plan.reference.rpartition(":")[2] for files, options in calls]


def test_the_same_content_has_the_same_name(make_plan: PlanMaker) -> None:
    def touch(work: Path) -> None:
        os.utime(work / "main.py", (1, 1))
        (work / "main.py").chmod(0o600)

    first, second = tags(make_plan, (MAIN, {}), (MAIN, {"prepare": touch}))

    assert first == second


CHANGES: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "source": ({"main.py": "print(2)\n"}, {}),
    "another name": ({"main2.py": "print(1)\n"}, {}),
    "one file more": (MAIN | {"other.py": ""}, {}),
    "requirements": (MAIN | {"requirements.txt": "a"}, {}),
    "entity": (MAIN, {"spec": {"entity": "bob"}}),
    "project": (MAIN, {"spec": {"project": "other"}}),
    "python": (MAIN, {"project": {"python": "3.12"}}),
    "entry point": (MAIN, {"project": {"entry_point": ("python", "other.py")}}),
    "user": (MAIN, {"spec": {"user_id": 7}}),
    "base image": (MAIN, {"project": {"base_image": "mine:1"}}),
    "executable": (MAIN, {"prepare": lambda work: (work / "main.py").chmod(0o755)}),
    "link": (MAIN, {"prepare": lambda work: (work / "link").symlink_to("main.py")}),
    "another link": (MAIN, {"prepare": lambda work: (work / "link").symlink_to("other.py")}),
    "directory": (MAIN, {"prepare": lambda work: (work / "empty").mkdir()}),
    "own Dockerfile": (MAIN | {"Dockerfile.wandb": "FROM a"}, {}),
    "another Dockerfile": (MAIN | {"Dockerfile.wandb": "FROM b"}, {}),
}


def test_each_thing_that_makes_another_image_gives_it_another_name(make_plan: PlanMaker) -> None:
    found = tags(make_plan, (MAIN, {}), *CHANGES.values())

    assert len(set(found)) == len(found)


def test_what_a_jobs_own_dockerfile_mounts_gives_another_name(make_plan: PlanMaker) -> None:
    """Also where the Dockerfile lies beside its context, whose files are the same."""
    project = {"dockerfile": "../Dockerfile", "build_context": "context"}
    steps = [f"FROM a\nRUN --mount=type=bind,source={name},target=/x cat /x\n" for name in ("a.txt", "b.txt")]
    files = {**MAIN, "context/a.txt": "a", "context/b.txt": "b"}

    first, second = tags(make_plan, *((files | {"Dockerfile": step}, {"project": project}) for step in steps))

    assert first != second


def test_what_git_notes_for_itself_does_not_count_but_the_commit_does(make_plan: PlanMaker) -> None:
    git = {".git/HEAD": "abc\n", ".git/index": "1"}
    same, noted, other = tags(
        make_plan, (MAIN | git, {}), (MAIN | git | {".git/index": "2"}, {}), (MAIN | git | {".git/HEAD": "def\n"}, {})
    )

    assert same == noted != other


# -- base images


def test_the_image_of_an_accelerator(make_plan: PlanMaker) -> None:
    args = {"local-container": {"builder": {"cuda": {"base_image": "nvidia/cuda:12"}}}}
    seen = make_plan(MAIN | {"requirements.txt": "a"}, spec={"resource_args": args})

    assert "FROM nvidia/cuda:12\n" in seen.dockerfile
    assert "FROM python:3.11-bookworm AS build\n" in seen.dockerfile


def test_a_base_image_of_the_jobs_own_gets_the_code_and_nothing_else(make_plan: PlanMaker) -> None:
    seen = make_plan(MAIN | {"requirements.txt": "a"}, project={"base_image": "mine:1"})

    assert seen.dockerfile.startswith("FROM mine:1\n")
    assert "pip" not in seen.dockerfile


@pytest.mark.parametrize(
    ("options", "who"),
    [
        ({"project": {"base_image": "evil:1"}}, "the job's base image"),
        (
            {"spec": {"resource_args": {"local-container": {"builder": {"accelerator": {"base_image": "evil:1"}}}}}},
            "resource_args.local-container.builder.accelerator.base_image",
        ),
    ],
)
def test_a_base_image_has_to_be_granted(make_plan: PlanMaker, options: dict[str, Any], who: str) -> None:
    rules = PolicyRules(containers=ContainerRules(images=("mine:*",)))

    with pytest.raises(PolicyRefused, match=f"As {who}: The image docker.io/library/evil:1 is not granted"):
        make_plan(MAIN, policy=rules, **options)


def test_the_administrators_own_base_image_needs_no_grant(make_plan: PlanMaker) -> None:
    make_plan(MAIN, policy=PolicyRules(containers=ContainerRules(images=("mine:*",))))


def test_a_dockerfile_of_the_jobs_own_is_judged(make_plan: PlanMaker) -> None:
    rules = PolicyRules(containers=ContainerRules(images=("mine:*",)))

    with pytest.raises(PolicyRefused, match="In the job's Dockerfile"):
        make_plan(MAIN | {"Dockerfile.wandb": "FROM evil:1"}, policy=rules)


@pytest.mark.parametrize("builder", [1, {"cuda": 1}, {"cuda": {"base_image": 1}}, {"accelerator": {"base_image": ""}}])
def test_a_base_image_is_a_text(make_plan: PlanMaker, builder: Any) -> None:
    with pytest.raises(InvalidSpec, match=r"resource_args\.local-container\.builder"):
        make_plan(MAIN, spec={"resource_args": {"local-container": {"builder": builder}}})


@pytest.mark.parametrize(
    ("recorded", "image"),
    [("3.10", "3.10"), ("3.10.7", "3.10"), ("CPython 3.9.1", "3.9"), ("python3.12", "3.12")],
)
def test_a_version_is_read_however_it_was_written(make_plan: PlanMaker, recorded: str, image: str) -> None:
    assert make_plan(MAIN, project={"python": recorded}).dockerfile.startswith(f"FROM python:{image}-bookworm\n")


@pytest.mark.parametrize(
    ("requires", "recorded", "image"),
    [
        (">=3.99", None, None),
        (">=3.20,<3.22", None, "3.20"),
        ("<3.10", None, "3.9"),
        (">=3.9.4", "3.9", "3.9"),
        (">=3.13", "3.9", None),
        (f"=={platform.python_version()}", None, ".".join(platform.python_version_tuple()[:2])),
    ],
)
def test_the_base_image_has_a_python_that_the_project_allows(
    make_plan: PlanMaker, requires: str, recorded: str | None, image: str | None
) -> None:
    files = MAIN | {"pyproject.toml": f'[project]\nname = "x"\nversion = "1"\nrequires-python = "{requires}"\n'}
    if image is None:
        with pytest.raises(
            BuildError, match=f"no Python for the project's image, which is to fit requires-python {requires}"
        ):
            make_plan(files, project={"python": recorded})
    else:
        assert f"FROM python:{image}-bookworm" in make_plan(files, project={"python": recorded}).dockerfile


def test_a_fixed_base_image_whose_name_says_another_python_is_refused(make_plan: PlanMaker) -> None:
    files = MAIN | {"pyproject.toml": '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.12"\n'}
    fixed = DockerConfig(base_image="registry.example/python:3.11-slim")
    with pytest.raises(BuildError, match=r"images are made from registry.example/python:3\.11-slim here, which has"):
        make_plan(files, project={"python": None}, docker=fixed)
    other = DockerConfig(base_image="registry.example/ml:2024")
    assert "FROM registry.example/ml:2024" in make_plan(files, project={"python": None}, docker=other).dockerfile


@pytest.mark.parametrize("user", [-1, 1 << 40])
def test_a_users_number_is_one(make_plan: PlanMaker, user: int) -> None:
    with pytest.raises(InvalidSpec, match="no user's number"):
        make_plan(MAIN, spec={"user_id": user})


# -- files


def test_links_out_of_the_project_are_left_out(make_plan: PlanMaker, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret")

    def links(work: Path) -> None:
        (work / "absolute").symlink_to(secret)
        (work / "up").symlink_to("../../../secret")
        (work / "launchd").symlink_to("..")

    seen = make_plan(MAIN, prepare=links)

    assert "src/main.py" in seen.files
    assert not any(b"s3cret" in content for content in seen.files.values())


def test_a_project_that_is_too_deep_is_refused(make_plan: PlanMaker) -> None:
    def deep(work: Path) -> None:
        (work / "/".join("d" * 210)).mkdir(parents=True)

    with pytest.raises(SourceError, match="directories more than 200 deep"):
        make_plan(MAIN, prepare=deep)


def test_what_is_no_file_is_left_out(make_plan: PlanMaker) -> None:
    seen = make_plan(MAIN, prepare=lambda work: os.mkfifo(work / "pipe"))

    assert sorted(seen.files) == ["Dockerfile.wandb", "src/main.py"]


def test_a_stop_ends_the_copying(make_context: Callable[..., JobContext]) -> None:
    context = make_context(spec={"resource": "local-container"}, docker=DOCKER)
    context.interrupt(StopSignal("enough", 1.0))

    with open_build_area(context) as area, pytest.raises(JobCancelled):
        plan_image(Project(context.work), context, Names(), area)


def test_the_cache_of_a_project_is_its_own(make_plan: PlanMaker) -> None:
    listed = MAIN | {"requirements.txt": "a"}
    ids = [
        seen.dockerfile.partition("type=cache,id=")[2].partition(",")[0]
        for seen in (make_plan(listed), make_plan(listed), make_plan(listed, spec={"project": "other"}))
    ]

    assert ids[0] == ids[1] != ids[2]


# -- areas of builds


def test_an_area_is_gone_afterwards(make_context: Callable[..., JobContext]) -> None:
    with open_build_area(make_context()) as area:
        (area / "file").write_text("")

    assert not area.exists()


def test_what_a_killed_worker_left_is_removed_by_the_next_build(make_context: Callable[..., JobContext]) -> None:
    first, second = make_context("launchd-1-1"), make_context("launchd-2-1")
    with open_build_area(first) as held:
        abandoned = held.with_name("launchd-3-1")
        (abandoned / "src").mkdir(parents=True)
        with open_build_area(second) as area:
            assert sorted(path.name for path in area.parent.iterdir()) == ["launchd-1-1", "launchd-2-1"]
