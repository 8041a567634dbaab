"""AMD's GPUs, read from a tree like the kernel's."""

from pathlib import Path

import pytest

from workers.gpus.amd import NODES, PROCESSES, AmdReader

GIB = 1 << 30


def write(path: Path, text: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    """A host with a processor and two GPUs that xGMI joins."""
    write(tmp_path / NODES / "0/properties", "cpu_cores_count 64\nsimd_count 0\n")
    for number, bus in ((1, 0x43), (10, 0xC3)):
        node = tmp_path / NODES / str(number)
        write(
            node / "properties",
            f"simd_count 416\nunique_id {number + 0xABC0}\ndrm_render_minor {127 + number}\ndomain 0\n"
            f"location_id {bus << 8}\n",
        )
        write(node / "gpu_id", number * 1000)
        write(node / "io_links/0/properties", "type 2\nnode_to 0\n")
        write(node / "io_links/1/properties", f"type 11\nnode_to {11 - number}\n")
        device = tmp_path / f"bus/pci/devices/0000:{bus:02x}:00.0"
        write(device / "mem_info_vram_total", 64 * GIB)
        write(device / "mem_info_vram_used", 3 * GIB)
        write(device / "gpu_busy_percent", 17)
        write(device / "numa_node", 0)
        write(device / "local_cpulist", "0-31")
        write(device / "product_name", "AMD Instinct MI250X")
    return tmp_path


def test_what_there_is(sysfs: Path) -> None:
    first, second = AmdReader(str(sysfs)).look()
    gpu = first.gpu
    assert (gpu.uuid, gpu.name, gpu.memory) == ("GPU-000000000000abc1", "AMD Instinct MI250X", 64 * GIB)
    assert (gpu.index, gpu.bus, gpu.numa, gpu.processors) == (0, "0000:43:00.0", 0, "0-31")
    assert gpu.files == ("/dev/kfd", "/dev/dri/renderD128")
    assert (gpu.linked, second.gpu.linked) == ((second.gpu.uuid,), (gpu.uuid,))
    assert (first.utilisation, first.memory_used, first.problem, first.processes) == (17.0, 3 * GIB, None, ())


def test_processes_that_hold_its_memory_are_on_a_gpu(sysfs: Path) -> None:
    write(sysfs / PROCESSES / "4242/vram_1000", 4096)
    write(sysfs / PROCESSES / "4242/vram_10000", 0)
    assert [one.processes for one in AmdReader(str(sysfs)).look()] == [(4242,), ()]


def test_errors_of_memory_are_a_problem(sysfs: Path) -> None:
    write(sysfs / "bus/pci/devices/0000:c3:00.0/ras/umc_err_count", "ue: 2\nce: 7")
    write(sysfs / "bus/pci/devices/0000:43:00.0/ras/umc_err_count", "ue: 0\nce: 7")
    problems = [one.problem for one in AmdReader(str(sysfs)).look()]
    assert problems == [None, "it has 2 memory errors that could not be corrected"]


def test_a_host_without_the_driver_has_none(tmp_path: Path) -> None:
    assert AmdReader(str(tmp_path)).look() == []
