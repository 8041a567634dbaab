"""buildah, without a daemon: what it makes, what it leaves, and what its failures say."""

import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import msgspec
import pytest

from ipc.errors import BuildError, HostError, JobCancelled
from ipc.messages import Event, PhaseChanged
from ipc.settings import NUMBERS_PER_BUILD, UserNumbers
from tests.contract.builders.conftest import ISOLATED, NAMESPACE, OWN, Workplace
from tests.support.registries import PASSWORD, SET_USER_ID_FILE, USER, Buildah, running_registry
from tests.support.waiting import wait_until
from workers import processes
from workers.builders.buildah import BuildahMaker
from workers.context import JobContext, StopSignal
from workers.images import ImagePlan
from workers.images.build_log import BuildLog
from workers.registries import RegistryError, load_registry

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]

#: Says so for some seconds, as what is said too often is not told.
BEGIN = "for i in 1 2 3; do echo begun; sleep 1; done"
SMALL = "FROM base\nRUN mkdir /made && echo made >/made/file && chown -R 1000:7 /made\nCOPY hello.txt /\n"
ROOT = Path(__file__).parents[3]


def maker_of(context: JobContext) -> BuildahMaker:
    return BuildahMaker(load_registry(context.order, context.wait), context)


def make(context: JobContext, plan: ImagePlan) -> BuildahMaker:
    maker = maker_of(context)
    with BuildLog(plan.log) as log:
        maker.make(plan, log)
    return maker


def test_an_image_is_built_and_pushed_without_a_daemon(workplace: Workplace, by_hand: Buildah) -> None:
    context, plan = workplace.context(), workplace.plan(SMALL, "small", labels={"launchd.built": "ada/engine"})
    assert not maker_of(context).has(plan)

    assert make(context, plan).archive is None

    assert maker_of(context).has(plan)
    files = by_hand.files(plan.reference)
    assert files["made/file"][1] == 1000
    assert files[SET_USER_ID_FILE][0] & 0o4000
    assert "hello.txt" in files
    assert "launchd.built" in by_hand("inspect", "--type", "image", plan.reference)
    assert workplace.left() == []
    assert "STEP" in plan.log.read_text()


def test_layers_are_kept_where_jobs_trust_each_other_alone(workplace: Workplace) -> None:
    make(workplace.context(), workplace.plan(SMALL, "first"))

    make(workplace.context(), workplace.plan(f"{SMALL}ENV A=1\n", "second"))

    assert ("Using cache" in (workplace.directory / "build.log").read_text()) is (workplace.mode != ISOLATED)
    assert workplace.left() == []


def test_what_is_kept_is_bounded(workplace: Workplace) -> None:
    if workplace.mode == ISOLATED:
        pytest.skip("nothing is kept")
    make(workplace.context(buildah={"cache_max_bytes": 1}), workplace.plan(SMALL, "large"))

    make(workplace.context(), workplace.plan(f"{SMALL}ENV A=2\n", "after-trimming"))

    assert "Using cache" not in (workplace.directory / "build.log").read_text()


def test_a_step_that_fails_is_a_sentence_and_leaves_nothing(workplace: Workplace) -> None:
    with pytest.raises(BuildError) as caught:
        make(workplace.context(), workplace.plan("FROM base\nRUN echo it broke && exit 3\n", "fails"))

    assert caught.value.message.startswith("The image could not be built: buildah ended with exit code")
    assert "exit status 3" in caught.value.message
    assert "it broke" in str(caught.value.detail)
    assert workplace.left() == []


def test_a_step_that_hangs_ends_with_all_it_started_and_the_place_is_free(workplace: Workplace) -> None:
    context = workplace.context(buildah={"no_progress_seconds": 4.0})
    hangs = "FROM base\nRUN sh -c 'sleep 7777 & setsid sleep 7777 & wait'\n"

    with pytest.raises(
        BuildError, match=r"made no progress for 4 s and was ended \(launchd\.buildah\.no_progress_seconds\)"
    ):
        make(context, workplace.plan(hangs, "hangs"))

    assert workplace.left() == []
    make(workplace.context(), workplace.plan(SMALL, "after-hanging"))


def test_a_build_that_takes_too_long_is_ended(workplace: Workplace) -> None:
    context = workplace.context(buildah={"timeout_seconds": 6.0})
    noisy = "FROM base\nRUN while true; do echo still here; sleep 0.2; done\n"

    with pytest.raises(BuildError, match=r"took longer than 6 s and was ended"):
        make(context, workplace.plan(noisy, "noisy"))

    assert workplace.left() == []


def test_a_stop_ends_a_build(workplace: Workplace) -> None:
    context: JobContext

    def send(event: Event) -> None:
        match event:
            case PhaseChanged(message=str(text)) if "begun" in text:
                threading.Thread(target=context.interrupt, args=(StopSignal("a test", 1.0),)).start()

    context = workplace.context(send)
    with pytest.raises(JobCancelled):
        make(context, workplace.plan(f"FROM base\nRUN {BEGIN}; sleep 7777\n", "stop"))

    assert workplace.left() == []


def test_a_builder_that_is_killed_fails_its_own_job_alone(workplace: Workplace) -> None:
    def send(event: Event) -> None:
        match event:
            case PhaseChanged(message=str(text)) if "begun" in text:
                processes.kill(builders(), signal.SIGKILL)

    with pytest.raises(BuildError, match=r"buildah was killed by signal 9"):
        make(workplace.context(send), workplace.plan(f"FROM base\nRUN {BEGIN}; sleep 7777\n", "builder-killed"))

    assert workplace.left() == []
    make(workplace.context(), workplace.plan(SMALL, "after-the-builder"))


def builders() -> list[int]:
    """Return the processes of buildah that this one has started."""
    below = processes.descendants([os.getpid()])
    return [pid for pid in below if Path(f"/proc/{pid}/comm").read_text().strip() == "buildah"]


def test_a_worker_that_is_killed_takes_its_build_along(workplace: Workplace) -> None:
    below = kill_in_mid_build(workplace)

    wait_until(lambda: not any(map(is_there, below)), 20, "all that it had started has ended")
    make(workplace.context(name="launchd-0123456789abcdef-2"), workplace.plan(SMALL, "after-killing"))
    assert workplace.left() == []


def kill_in_mid_build(workplace: Workplace) -> set[int]:
    """Kill a worker while a step of its build runs; returns what ran below it."""
    order = workplace.order()
    Path(order.directory).mkdir(parents=True)
    plan = workplace.plan("FROM base\nRUN echo begun && (sleep 7777 & setsid sleep 7777)\n", "killed")
    files = workplace.directory / "order.json", workplace.directory / "plan.json"
    files[0].write_bytes(msgspec.json.encode(order))
    files[1].write_bytes(msgspec.json.encode(plan, enc_hook=str))
    command = (sys.executable, "-m", "tests.contract.builders.build_process", *map(str, files))
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as worker:
        wait_until(lambda: has_begun(plan.log), 60, "the step began")
        below = processes.descendants([worker.pid])
        worker.send_signal(signal.SIGKILL)

    assert below
    return below


def test_what_a_job_with_a_user_left_is_for_no_other_build(workplace: Workplace) -> None:
    if workplace.mode != ISOLATED:
        pytest.skip("of jobs with users of their own")
    kill_in_mid_build(workplace)
    left = workplace.storage / "0" / "storage" / "left"
    left.touch()

    # Of a queue whose jobs trust each other.
    make(workplace.context(name="launchd-0123456789abcdef-2", user=None), workplace.plan(SMALL, "trusted"))

    assert not left.exists()


def has_begun(log: Path) -> bool:
    return log.exists() and re.search("^begun", log.read_text(), re.MULTILINE) is not None


def is_there(pid: int) -> bool:
    key = processes.key_of(pid)
    return key is not None and processes.is_alive(key)


def test_what_a_step_is_trusted_with_is_in_no_layer(workplace: Workplace, by_hand: Buildah) -> None:
    text = "FROM base\nRUN --mount=type=secret,id=s1 grep -q 'se c.et' /run/secrets/s1\nRUN ! test -s /run/secrets/s1\n"
    plan = workplace.plan(text, "secret", secrets={"s1": "se cret"})

    make(workplace.context(), plan)

    inspected = by_hand("inspect", "--type", "image", by_hand("pull", "--quiet", "--tls-verify=false", plan.reference))
    assert "se cret" not in inspected
    assert workplace.left() == []


def test_steps_do_not_see_the_registrys_password(workplace: Workplace) -> None:
    with running_registry(workplace.directory / "closed", password=True) as closed:
        by_hand = Buildah(workplace.directory / "by-hand")
        by_hand.push_base(f"{closed.name}/base:1", by_hand.login(closed.name))
        workplace.registry = closed
        seen: list[str] = []

        def send(event: Event) -> None:
            match event:
                case PhaseChanged(message=str(text)) if "begun" in text:
                    seen.extend(path.name for path in workplace.storage.glob("*.files/*"))

        password = workplace.directory / "password"
        password.write_text(PASSWORD)
        password.chmod(0o600)
        context = workplace.context(send, access={"username": USER, "password_file": str(password)})
        # Other tests' command lines have the password, too, for registries of their own.
        port = closed.name.rpartition(":")[2]
        look = f"case $line in *:[s]ecret*{port}*|*{port}*:[s]ecret*) exit 3;; esac"
        every = f"for one in /proc/[0-9]*/cmdline; do line=$(tr '\\0' ' ' <$one || true); {look}; done"
        text = f"FROM base\nRUN {BEGIN}\nRUN {every}\n"
        make(context, workplace.plan(text, "closed"))

        assert maker_of(context).has(workplace.plan(text, "closed"))
        assert "registries.conf" in seen
        assert "auth.json" not in seen


def test_a_registry_that_refuses_the_push_is_a_sentence(workplace: Workplace) -> None:
    with running_registry(workplace.directory / "closed", password=True) as closed:
        plan = workplace.plan(SMALL, "refused", reference=f"{closed.name}/team/x:1")

        with pytest.raises(RegistryError, match="asks for a user and a password, and this host has none for it"):
            make(workplace.context(), plan)
    assert workplace.left() == []


def test_without_a_registry_the_image_is_a_file_for_the_engine(workplace: Workplace) -> None:
    context = workplace.context(registry=None)
    plan = workplace.plan(SMALL, "local", reference="localhost/launchd/ada/engine:1")

    archive = make(context, plan).archive

    assert archive is not None
    with tarfile.open(archive) as opened:
        manifest = opened.extractfile("manifest.json")
        assert manifest is not None
        assert json.loads(manifest.read())[0]["RepoTags"] == ["localhost/launchd/ada/engine:1"]
    assert Path(archive).stat().st_mode & 0o077 == 0
    assert workplace.left() == []


def test_another_target_needs_a_registry(workplace: Workplace) -> None:
    spec = msgspec.structs.replace(workplace.order().spec, resource="kubernetes")

    with pytest.raises(BuildError, match="has to be pushed to a registry, and this agent has none"):
        make(workplace.context(registry=None, spec=spec), workplace.plan(SMALL, "elsewhere"))


def test_a_base_image_that_is_not_there_is_a_sentence(workplace: Workplace) -> None:
    name = workplace.registry.name

    with pytest.raises(BuildError, match=f"The base image {name}/missing:1 could not be pulled"):
        make(workplace.context(), workplace.plan(f"FROM {name}/missing:1\n", "missing"))
    assert workplace.left() == []


def test_two_builds_at_a_time_do_not_share_a_place(workplace: Workplace) -> None:
    first = workplace.numbers.first
    room = {} if workplace.mode == OWN else {"user_numbers": UserNumbers(first, first + 2 * NUMBERS_PER_BUILD - 1)}
    text = f"FROM base\nRUN {BEGIN}\n"
    contexts = [workplace.context(name=f"launchd-0123456789abcdef-{n}", buildah=room) for n in (1, 2)]
    plans = [workplace.plan(text, f"both-{n}", log=workplace.directory / f"log-{n}") for n in (1, 2)]
    builds = [threading.Thread(target=make, args=pair) for pair in zip(contexts, plans, strict=True)]
    for build in builds:
        build.start()
    for build in builds:
        build.join()

    assert all(maker_of(contexts[0]).has(plan) for plan in plans)
    assert sorted(path.name for path in workplace.storage.glob("[0-9]")) == ["0", "1"]


def test_a_place_of_another_user_is_refused(workplace: Workplace) -> None:
    if workplace.mode != NAMESPACE:
        pytest.skip("of places that keep what is in them, and whose user can change")
    make(workplace.context(), workplace.plan(SMALL, "before"))
    first = workplace.numbers.last + 1
    moved = {"user_numbers": UserNumbers(first, first + NUMBERS_PER_BUILD - 1)}

    with pytest.raises(HostError, match="belongs to another user than that of its builds now"):
        make(workplace.context(buildah=moved), workplace.plan(SMALL, "after"))


def test_builds_of_jobs_with_users_need_users_too(workplace: Workplace) -> None:
    if workplace.mode != ISOLATED:
        pytest.skip("of jobs with users of their own")

    with pytest.raises(HostError, match="builds with buildah have no users of their own here"):
        make(workplace.context(buildah={"user_numbers": None}), workplace.plan(SMALL, "nobody"))


def test_a_host_without_buildah_is_a_sentence(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(workplace.directory))

    with pytest.raises(HostError, match="buildah, which is not installed on this host"):
        make(workplace.context(), workplace.plan(SMALL, "without"))


@pytest.mark.root
def test_a_build_in_a_namespace_is_not_root(workplace: Workplace) -> None:
    if workplace.mode != NAMESPACE:
        pytest.skip("of namespaces")
    text = "FROM base\nRUN cat /proc/self/uid_map && ! mknod /x b 8 0\n"

    make(workplace.context(), workplace.plan(text, "root"))

    assert str(workplace.numbers.first) in (workplace.directory / "build.log").read_text()
