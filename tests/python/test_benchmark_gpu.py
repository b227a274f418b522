"""The benchmark for GPUs, as far as it goes without one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import gpu  # noqa: E402
import gpu_floor  # noqa: E402
import gpu_worker  # noqa: E402


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the benchmark."""
    return subprocess.run(
        [sys.executable, str(BENCHMARKS / "gpu.py"), *arguments], capture_output=True, text=True
    )


def test_a_small_case_on_the_cpu(tmp_path: Path) -> None:
    result = run(
        *["--platform", "CPU", "--cases", "2x4", "--rounds", "1", "--seconds", "0.05"],
        *["--output", str(tmp_path)],
    )
    assert result.returncode == 0, result.stderr
    (row,) = json.loads((tmp_path / "gpu.json").read_text())["results"]
    assert (row["beads"], row["replicas"], row["pairs"]) == (4, 2, 24)
    assert set(row["variants"]) == {"CGForce", "PythonForce"}
    ours = row["variants"]["CGForce"]
    assert ours["info"]["runner"] == "torchscript"
    assert 0 < gpu.share(ours) < 1
    assert gpu.share(row["variants"]["PythonForce"]) is None
    assert (tmp_path / "gpu.md").read_text().count("\n") == 4


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_in_a_sentence() -> None:
    result = run("--cases", "1x4")
    assert result.returncode == 1
    assert "'CUDA' cannot run CG models here" in result.stderr
    assert "Traceback" not in result.stderr


def test_cases_are_parsed() -> None:
    assert gpu.parse_case("64x269") == (269, 64)
    assert gpu.parse_case("liquid1000") == (1000, 1)
    for name in ("64", "liquid10"):
        with pytest.raises(SystemExit, match="REPLICASxBEADS"):
            gpu.parse_case(name)


def test_every_kernel_has_its_part() -> None:
    folder = BENCHMARKS.parent / "platforms" / "common" / "src" / "kernels"
    sources = "".join(path.read_text() for path in folder.glob("*.cc"))
    names = [
        line.split("(")[0].split()[-1] for line in sources.splitlines() if "KERNEL void" in line
    ]
    assert sorted(names) == sorted(name for group in gpu_worker.KERNELS.values() for name in group)
    assert gpu_worker.part_of("gatherBeads") == "map"
    assert gpu_worker.part_of("void at::native::reduce_kernel<512, 1>(float*)") == "other"


def test_work_of_the_device_counts_and_calls_of_the_host_do_not() -> None:
    kinds = torch.autograd.DeviceType

    def event(name: str, kind: object, microseconds: float) -> SimpleNamespace:
        elapsed = SimpleNamespace(elapsed_us=lambda: microseconds)
        return SimpleNamespace(name=name, device_type=kind, time_range=elapsed)

    events = [
        event("cuLaunchKernel", kinds.CPU, 50),
        event("gatherBeads", kinds.CUDA, 2),
        event("countPairs", kinds.CUDA, 3),
        event("writePairs", kinds.CUDA, 5),
        event("void gemm<float>(float*)", kinds.CUDA, 40),
    ]
    times = gpu_worker.device_times(events, steps=2)
    assert times == pytest.approx({"map": 1e-6, "list": 4e-6, "scatter": 0.0, "other": 20e-6})
    figures = {"seconds": 50e-6, "split": times, "info": {"runner": "torchscript"}}
    assert gpu.share(figures) == pytest.approx(0.1)


def test_floor_counts_what_the_network_does() -> None:
    """One pair and one bead of a network of width 1: additions and multiplications by hand."""
    work = gpu_floor.schnet_work(beads=1, pairs=1, width=1, interactions=1, rbf=1)
    assert work.flops == 2 * ((2 + 2 + 2) + 3 * 2)
    double = gpu_floor.schnet_work(beads=2, pairs=2, width=1, interactions=1, rbf=1)
    assert double.flops == 2 * work.flops
    properties = SimpleNamespace(
        major=8,
        multi_processor_count=10,
        clock_rate=1_000_000,
        memory_clock_rate=1_000_000,
        memory_bus_width=64,
    )
    rates = gpu_floor.device_rates(properties)
    assert rates == {"flops": 2 * 10 * 128 * 1e9, "bytes": 2 * 1e9 * 8}
    assert gpu_floor.floor_seconds(gpu_floor.Work(1e12, 1.0), rates) == 1e12 / rates["flops"]
    assert gpu_floor.floor_seconds(gpu_floor.Work(1.0, 1e12), rates) == 1e12 / rates["bytes"]


PROGRAM = """
int cuStreamSynchronize(void*);
int cuEventRecord(void*, void*);
long count_waits(void) __attribute__((weak));
#include <stdio.h>
int main(void) {
    int sum = 0;
    for (int i = 0; i < 3; i++)
        sum += cuStreamSynchronize(0) + cuEventRecord(0, 0);
    printf("%d %ld", sum, count_waits ? count_waits() : -1);
    return 0;
}
"""
DRIVER = """
int cuStreamSynchronize(void* stream) { (void) stream; return 7; }
int cuEventRecord(void* event, void* stream) { (void) event; (void) stream; return 1; }
"""


def test_waits_are_counted(tmp_path: Path) -> None:
    """A program with a driver of two functions: only the one that waits is counted, and both still work."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    (tmp_path / "driver.c").write_text(DRIVER)
    (tmp_path / "program.c").write_text(PROGRAM)
    driver = tmp_path / "libcuda.so.1"
    name = "-Wl,-soname,libcuda.so.1"
    subprocess.run(
        [compiler, "-shared", "-fPIC", name, "-o", driver, tmp_path / "driver.c"], check=True
    )
    program = tmp_path / "program"
    subprocess.run([compiler, "-o", program, tmp_path / "program.c", driver], check=True)
    environment = {**gpu.counting_library(tmp_path), "LD_LIBRARY_PATH": str(tmp_path)}
    assert subprocess.check_output([program], env=environment, text=True) == "24 3"
    plain = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    assert subprocess.check_output([program], env=plain, text=True) == "24 -1"
