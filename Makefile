# Everything from a bare clone: `make demo` and `make test` create a virtual environment, install pinned
# dependencies, build the plugin and install the package into it.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
BUILD := $(CURDIR)/build/cmake
CUDA_PACKAGES := $(CURDIR)/build/cuda
CUDA ?= $(if $(wildcard $(VENV)/cuda1),1)
export OMP_WAIT_POLICY := PASSIVE

SOURCES := $(shell find engine openmmapi platforms serialization python tests/cpp -type f \
	-not -path '*/__pycache__/*' -not -name '*.so' -not -path 'python/openmmcg/lib/*' \
	-not -path 'python/openmmcg/include/*' -not -path '*.egg-info/*') \
	CMakeLists.txt setup.py pyproject.toml
CPP := $(shell find engine openmmapi platforms serialization python/src tests/cpp -name '*.h' -o -name '*.cpp')

.PHONY: demo test lint test-cpp test-python bench bench-gpu clean

demo: $(VENV)/installed
	$(BIN)/openmm-cg demo

test: lint test-cpp test-python

lint: $(VENV)/installed $(VENV)/tools
	$(BIN)/ruff check python tests benchmarks examples setup.py
	$(BIN)/ruff format --check python tests benchmarks examples setup.py
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(CPP)

test-cpp: $(VENV)/installed
	$(BIN)/ctest --test-dir $(BUILD) --output-on-failure

# Tests that name no platform mean the CPU, whatever devices there are.
test-python: export OPENMM_DEFAULT_PLATFORM := CPU
test-python: $(VENV)/installed $(VENV)/tools
	OPENMMCG_BUILD_DIR=$(BUILD) $(BIN)/python -m pytest --durations=10

# OPENMM_TORCH is the Python of an environment with openmm-torch, to compare with that too.
bench: $(VENV)/installed
	$(BIN)/python benchmarks/step_split.py
	$(BIN)/python benchmarks/floor.py
	$(BIN)/python benchmarks/scaling.py --output benchmarks/results
	$(BIN)/python benchmarks/engines.py --output benchmarks/results \
		$(if $(OPENMM_TORCH),--openmm-torch $(OPENMM_TORCH))

bench-gpu: $(VENV)/installed
	$(BIN)/python benchmarks/gpu.py --output build/benchmarks

# torch comes first and by its exact version, so that a CPU build offered by pip's configuration is taken.
$(VENV)/dependencies: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check "$$(grep '^torch==' requirements.txt)"
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

# With CUDA=1 the CUDA platform is installed in full, to be run; else no more than compiling against it takes.
$(VENV)/cuda$(CUDA): requirements-cuda.txt $(VENV)/dependencies
	rm -rf $(CUDA_PACKAGES)
	$(BIN)/pip install --quiet --disable-pip-version-check \
		$(if $(CUDA),,--no-deps --target $(CUDA_PACKAGES)) -r requirements-cuda.txt
	touch $@

# What only tests and linters need.
$(VENV)/tools: requirements-dev.txt $(VENV)/dependencies
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-dev.txt
	touch $@

# A stale build/lib would put files that are gone from the tree into the wheel.
$(VENV)/installed: $(VENV)/dependencies $(VENV)/cuda$(CUDA) $(SOURCES)
	rm -rf build/lib* build/bdist*
	PATH="$(CURDIR)/$(BIN):$$PATH" OPENMMCG_BUILD_DIR=$(BUILD) OPENMMCG_BUILD_TESTS=1 \
		OPENMMCG_CUDA_PACKAGES=$(CUDA_PACKAGES) \
		$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --force-reinstall .
	touch $@

clean:
	rm -rf build $(VENV) demo-output
