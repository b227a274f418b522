#!/usr/bin/env bash
# The checks that need a GPU, after `make test CUDA=1`. They write to build/gpu and stop at the first that fails.
#
#     tests/gpu.sh [STEPS]     how long the last one runs; a million by default
set -euo pipefail
cd "$(dirname "$0")/.."
steps=${1:-1000000}
build=build/cmake
results=build/gpu
mkdir -p "$results"
export OMP_WAIT_POLICY=PASSIVE

echo "C++ tests in all precisions, with and without CUDA graphs"
.venv/bin/ctest --test-dir $build --output-on-failure -R 'TestCuda|TestDeviceModel' | tee "$results/ctest.log"
if grep -q 'TestCudaCGForce.*Skipped' "$results/ctest.log"; then
    echo "OpenMM finds no CUDA device, or its platform for CUDA is not installed (make test CUDA=1)." >&2
    exit 1
fi

echo "Python tests"
OPENMMCG_BUILD_DIR=$build .venv/bin/python -m pytest -m gpu | tee "$results/pytest.log"

# The wheels of CUDA have no compute-sanitizer; a toolkit does.
if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck; do
        for graphs in off on; do
            echo "compute-sanitizer $tool, graphs $graphs"
            compute-sanitizer --tool $tool --error-exitcode 3 --target-processes all \
                $build/tests/cpp/TestCudaCGForce mixed $graphs | tee "$results/$tool-$graphs.log"
        done
    done
else
    echo "compute-sanitizer is not installed: memcheck and racecheck were left out" | tee "$results/sanitizer.log" >&2
fi

echo "$steps steps of 64 replicas"
.venv/bin/python tests/gpu_soak.py --steps "$steps" | tee "$results/soak.log"
