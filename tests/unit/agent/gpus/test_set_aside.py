"""Which GPUs are given out at all: those that are known, fit, and not set aside for a fault or for failures."""

from ipc.errors import ErrorReport
from ipc.exits import WorkerExit
from ipc.gpu_probe import SeenGpu
from ipc.handles import ExitResult
from ipc.messages import Failed, Finished, PhaseChanged, Submitting
from ipc.states import JobState
from launchd.config.model import GpusConfig
from tests.support.controller_harness import ControllerHarness
from tests.support.gpus import a_sample, an_instance
from tests.unit.agent.gpus.jobs import FOUR, claim, end, held, waiting


def test_nothing_is_given_out_before_the_gpus_are_known(probed: ControllerHarness) -> None:
    claim(probed, "a", 1)
    assert probed.gpus is not None
    assert (waiting(probed), probed.controller.grants.is_owing) == (["a"], True)
    probed.gpus.on_probe_failed("The driver of the GPUs has not answered for 30 s.")
    assert probed.controller.grants.problem == "The driver of the GPUs has not answered for 30 s."
    probed.gpus.on_sample(a_sample(FOUR))
    assert probed.controller.grants.is_due
    probed.turn()
    assert held(probed) == {"a": ["GPU-0"]}
    assert (probed.controller.grants.is_owing, probed.controller.grants.summary().free) == (False, 3)


def test_a_returned_gpu_is_looked_at_before_it_is_given_out_again(probed: ControllerHarness) -> None:
    assert probed.gpus is not None
    probed.gpus.on_sample(a_sample(FOUR[:1]))
    claim(probed, "a", 1)
    claim(probed, "b", 1)
    end(probed, "a")
    assert probed.asked == 1
    # One that was on its way says nothing about what came after it.
    probed.gpus.on_sample(a_sample(FOUR[:1], answers=0))
    probed.turn()
    assert waiting(probed) == ["b"]
    probed.gpus.on_sample(a_sample([SeenGpu(FOUR[0], processes=(17, 18))], answers=1))
    probed.turn()
    assert waiting(probed) == ["b"]
    (shown,) = probed.gpus.status()
    assert shown["hindrance"] == "processes 17, 18 are on it, of no job that has it"
    probed.gpus.on_sample(a_sample(FOUR[:1], answers=1))
    probed.turn()
    assert held(probed) == {"b": ["GPU-0"]}


def test_a_gpu_with_a_problem_is_set_aside_while_it_has_that(probed: ControllerHarness) -> None:
    assert probed.gpus is not None
    probed.gpus.on_sample(a_sample([SeenGpu(FOUR[0], problem="it is hot"), FOUR[1]]))
    claim(probed, "a", "all")
    assert held(probed) == {"a": ["GPU-1"]}
    claim(probed, "b", 2)
    assert waiting(probed) == ["b"]
    end(probed, "a")
    probed.gpus.on_sample(a_sample(FOUR[:2], answers=1))
    probed.turn()
    assert held(probed) == {"b": ["GPU-0", "GPU-1"]}


def test_a_problem_can_be_put_up_with(probed: ControllerHarness) -> None:
    assert probed.gpus is not None
    sample = a_sample([SeenGpu(FOUR[0], problem="it is hot")])
    probed.gpus.on_sample(sample)
    assert probed.gpus.free() == []
    assert probed.controller.grants.return_to_use("0") == ["0"]
    probed.turn()
    probed.restart()
    assert probed.gpus is not None
    probed.gpus.on_sample(sample)
    assert probed.gpus.free() == [FOUR[0]]
    probed.gpus.on_sample(a_sample([SeenGpu(FOUR[0], problem="it burns")]))
    assert probed.gpus.free() == []


def test_a_fault_of_the_hardware_sets_a_gpu_aside_until_it_is_returned(probed: ControllerHarness) -> None:
    assert probed.gpus is not None
    probed.gpus.on_sample(a_sample([SeenGpu(FOUR[0], faults=(79,)), FOUR[1]]))
    probed.gpus.on_sample(a_sample(FOUR[:2]))
    assert probed.gpus.free() == [FOUR[1]]
    probed.turn()
    probed.restart()
    assert probed.gpus is not None
    probed.gpus.on_sample(a_sample(FOUR[:2]))
    probed.clock.advance(1e6)
    probed.gpus.tick()
    assert probed.gpus.free() == [FOUR[1]]
    assert "XID 79" in probed.gpus.status()[0]["set_aside"]
    assert probed.controller.grants.return_to_use("GPU-0") == ["0"]
    assert probed.gpus.free() == [FOUR[0], FOUR[1]]


def test_a_lost_gpu_still_counts_and_divided_ones_take_its_place(probed: ControllerHarness) -> None:
    assert probed.gpus is not None
    probed.gpus.on_sample(a_sample(FOUR[:2]))
    probed.gpus.on_sample(a_sample(FOUR[:1]))
    claim(probed, "a", 2)
    assert waiting(probed) == ["a"]
    assert probed.gpus.status()[1]["set_aside"] == "the driver does not show it any more"
    parts = [an_instance(1, 0), an_instance(1, 1)]
    probed.gpus.on_sample(a_sample([FOUR[0], *parts]))
    assert [shown["label"] for shown in probed.gpus.status()] == ["0", "1:0", "1:1"]
    probed.turn()
    # Two whole ones there are no more.
    assert probed.job("a").state is JobState.FAILED


def fail_at_once(harness: ControllerHarness, item_id: str) -> None:
    claim(harness, item_id, 1)
    end(harness, item_id, JobState.FAILED, ExitResult(1))


def test_failures_in_a_row_set_a_gpu_aside_for_a_growing_time(static: ControllerHarness) -> None:
    static.gpus_config = GpusConfig(devices=FOUR[:1], fast_failures=2, set_aside_seconds=100.0)
    static.restart()
    for number, seconds in enumerate((100.0, 200.0)):
        fail_at_once(static, f"a{number}")
        if number == 0:
            assert static.gpus is not None
            assert static.gpus.free() == [FOUR[0]]
            fail_at_once(static, "b")
        assert static.gpus is not None
        assert static.gpus.free() == []
        assert "jobs in a row failed on it within 30 s" in static.gpus.status()[0]["set_aside"]
        static.clock.advance(seconds - 1)
        static.gpus.tick()
        assert static.gpus.free() == []
        static.clock.advance(1)
        static.gpus.tick()
        assert static.gpus.free() == [FOUR[0]]


def test_failures_that_say_nothing_of_the_gpu_do_not_count(static: ControllerHarness) -> None:
    static.gpus_config = GpusConfig(devices=FOUR[:1], fast_failures=1)
    static.restart()
    assert static.gpus is not None
    claim(static, "build", 1)
    static.report(PhaseChanged(JobState.BUILDING), "build")
    static.report(Failed(ErrorReport("build", "BuildError", "No.")), "build")
    static.exit(WorkerExit.DONE, "build")
    claim(static, "late", 1)
    static.report(Submitting(static.job("late").name), "late")
    static.report(PhaseChanged(JobState.RUNNING), "late")
    static.clock.advance(31)
    static.report(Finished(JobState.FAILED, ExitResult(1)), "late")
    static.exit(WorkerExit.DONE, "late")
    assert static.gpus.free() == [FOUR[0]]
    # What the engine refuses because of a GPU does.
    claim(static, "refused", 1)
    static.report(Submitting(static.job("refused").name), "refused")
    static.report(Failed(ErrorReport("run", "SubmitError", "No device.")), "refused")
    static.exit(WorkerExit.DONE, "refused")
    assert static.gpus.free() == []


def test_a_job_that_finishes_forgives_the_failures_before_it(static: ControllerHarness) -> None:
    static.gpus_config = GpusConfig(devices=FOUR[:1], fast_failures=2)
    static.restart()
    fail_at_once(static, "a")
    claim(static, "b", 1)
    end(static, "b")
    fail_at_once(static, "c")
    assert static.gpus is not None
    assert static.gpus.free() == [FOUR[0]]
