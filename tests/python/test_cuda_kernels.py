"""The kernels that devices share are CUDA C++ too: compiled, where CUDA's compiler is, but not run."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

KERNELS = Path(__file__).resolve().parents[2] / "platforms" / "common" / "src" / "kernels"

# What OpenMM's CUDA platform puts before the source of a kernel.
PRELUDE = """
#define KERNEL extern "C" __global__
#define DEVICE __device__
#define LOCAL __shared__
#define LOCAL_ARG
#define GLOBAL
#define RESTRICT __restrict__
#define LOCAL_ID threadIdx.x
#define LOCAL_SIZE blockDim.x
#define GLOBAL_ID (blockIdx.x*blockDim.x+threadIdx.x)
#define GLOBAL_SIZE (blockDim.x*gridDim.x)
#define GROUP_ID blockIdx.x
#define NUM_GROUPS gridDim.x
#define SYNC_THREADS __syncthreads();
#define MEM_FENCE __threadfence_block();
#define ATOMIC_ADD(dest, value) atomicAdd(dest, value)
typedef long long mm_long;
typedef unsigned long long mm_ulong;
"""

# Precision: types `real` and `mixed`, and the definition by which kernels know it.
PRECISIONS = {
    "single": ("float", "float", "USE_SINGLE_PRECISION"),
    "mixed": ("float", "double", "USE_MIXED_PRECISION"),
    "double": ("double", "double", "USE_DOUBLE_PRECISION"),
}


def source(file: str, precision: str, model: str, options: list[str]) -> str:
    """Return a kernel file as the CUDA platform would compile it."""
    real, mixed, define = PRECISIONS[precision]
    lines = [PRELUDE, f"#define {define} 1"]
    for name, kind in (("real", real), ("mixed", mixed)):
        lines.append(f"typedef {kind} {name};")
        for width in (2, 3, 4):
            lines.append(f"typedef {kind}{width} {name}{width};")
            lines.append(f"#define make_{name}{width} make_{kind}{width}")
    values = {"NUM_BEADS": "269", "TILE": "32", "SCAN_SIZE": "128", "modelReal": model}
    lines += [f"#define {name} {value}" for name, value in values.items()]
    lines += [f"#define {name} 1" for name in options]
    return "\n".join([*lines, (KERNELS / file).read_text()])


@pytest.fixture(scope="module")
def nvcc() -> str:
    """CUDA's compiler."""
    found = shutil.which("nvcc") or shutil.which(
        "nvcc", path=f"{os.environ.get('CUDA_HOME', '/usr/local/cuda')}/bin"
    )
    if found is None:
        pytest.skip("CUDA's compiler nvcc is not here")
    return found


@pytest.mark.parametrize(
    ("precision", "model", "options"),
    [
        ("single", "float", ["PERIODIC", "CELLS", "BAD_FORCE_PLACE"]),
        ("mixed", "float", ["PERIODIC"]),
        ("mixed", "double", ["CELLS", "BAD_FORCE_PLACE"]),
        ("double", "double", []),
    ],
)
@pytest.mark.parametrize("file", ["beads.cc", "pairList.cc"])
def test_kernels_compile_for_a_gpu(
    nvcc: str, tmp_path: Path, file: str, precision: str, model: str, options: list[str]
) -> None:
    path = tmp_path / "kernels.cu"
    path.write_text(source(file, precision, model, options))
    command = [nvcc, "--cubin", "--gpu-architecture=sm_90", "-Werror", "all-warnings"]
    result = subprocess.run(
        [*command, "-o", str(tmp_path / "kernels.cubin"), str(path)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert (tmp_path / "kernels.cubin").read_bytes()[:4] == b"\x7fELF"


def test_a_wrong_kernel_is_noticed(nvcc: str, tmp_path: Path) -> None:
    path = tmp_path / "kernels.cu"
    text = source("beads.cc", "single", "float", [])
    path.write_text(text.replace("bead = GLOBAL_ID", "bead = get_global_id(0)"))  # OpenCL's name
    command = [nvcc, "--cubin", "--gpu-architecture=sm_90", "-o", str(tmp_path / "out"), str(path)]
    assert subprocess.run(command, capture_output=True).returncode != 0
