"""A plugin whose PyTorch is missing, or that was built without it, runs models that the native engine knows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import openmm
import openmmcg
import pytest

DATA = Path(__file__).parents[1] / "data"
ROOT = Path(__file__).parents[2]
NOT_LINKED = ("torch", "openmmcg", "openmm_cg", "__editable__", "lightning", "pytorch_lightning")

RUN = """
import sys, importlib.util
assert importlib.util.find_spec("torch") is None
import openmm
from openmmcg import CGForce, cli, runners
assert runners() == ["native"], runners()
force, system = CGForce(sys.argv[1]), openmm.System()
for bead in range(4):
    system.addParticle(12.0)
    force.addBead(bead, None, bead % 2)
system.addForce(force)
def context():
    return openmm.Context(
        system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference")
    )
state = context()
state.setPositions([[0.1 * i, 0.02 * i * i, 0.3 - 0.05 * i] for i in range(4)])
print(repr(state.getState(getEnergy=True).getPotentialEnergy()._value))
CGForce.cast(system.getForce(0)).setProperty("runner", "torchscript")
try:
    context()
except openmm.OpenMMException as error:
    print(error)
assert cli.main(["info", sys.argv[1]]) == 0
assert cli.main(["train", "--help"]) == 2
assert cli.main(["--version"]) == 0
assert "torch" not in sys.modules
"""


def without_torch(folder, package):
    """Make a folder of all installed packages but PyTorch and ours, and put `package` there for ours."""
    site = folder / "site" / "packages"
    site.mkdir(parents=True)
    for name in ("purelib", "platlib"):
        for entry in Path(sysconfig.get_path(name)).iterdir():
            if not entry.name.startswith(NOT_LINKED) and not (site / entry.name).exists():
                (site / entry.name).symlink_to(entry)
    shutil.copytree(
        package, site / "openmmcg", symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
    )
    (site / "openmm_cg-0.1.0.dist-info").mkdir()
    (site / "openmm_cg-0.1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: openmm-cg\nVersion: 0.1.0\n"
    )
    return site


def run(site):
    """Run a model in a Python that has no other packages than those in `site`; return what it printed."""
    code = f"import sys; sys.path.insert(0, {str(site)!r})" + RUN
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(DATA / "schnet-weights-v1.cg.pt")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def energy_here():
    """The same energy with everything installed."""
    force, system = openmmcg.CGForce(DATA / "schnet-weights-v1.cg.pt"), openmm.System()
    for bead in range(4):
        system.addParticle(12.0)
        force.addBead(bead, None, bead % 2)
    system.addForce(force)
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    context.setPositions([[0.1 * i, 0.02 * i * i, 0.3 - 0.05 * i] for i in range(4)])
    return context.getState(getEnergy=True).getPotentialEnergy()._value


def check(site):
    out, err = run(site)
    assert float(out.splitlines()[0]) == energy_here()
    assert "'torchscript' needs PyTorch" in out and "'auto' or 'native'" in out
    assert "schnet" in out  # of `info`
    assert "this needs PyTorch, which is not installed" in err
    assert "not installed" in out  # of `--version`


def test_torch_not_installed(tmp_path):
    """The library that needs PyTorch is there, but nothing else of it."""
    check(without_torch(tmp_path, Path(openmmcg.__file__).parent))


@pytest.mark.slow
def test_built_without_torch(tmp_path):
    """CMake's option leaves out the TorchScript runner, and the rest needs no file of PyTorch."""
    pybind11 = pytest.importorskip("pybind11")
    cmake = shutil.which("cmake", path=os.path.dirname(sys.executable)) or shutil.which("cmake")
    if cmake is None:
        pytest.skip("There is no cmake.")
    package = tmp_path / "openmmcg"
    shutil.copytree(
        Path(openmmcg.__file__).parent,
        package,
        ignore=shutil.ignore_patterns("lib", "include", "*.so", "__pycache__"),
    )
    options = {
        "Python3_EXECUTABLE": sys.executable,
        "TORCH_DIR": tmp_path / "nowhere",
        "PYBIND11_INCLUDE_DIR": pybind11.get_include(),
        "OPENMMCG_WITH_TORCH": "OFF",
        "OPENMMCG_OPENMM_VERSION": openmm.version.short_version,
        "CMAKE_INSTALL_PREFIX": package,
    }
    build = tmp_path / "build"
    subprocess.run(
        [cmake, "-S", ROOT, "-B", build, *(f"-D{name}={value}" for name, value in options.items())],
        check=True,
    )
    subprocess.run([cmake, "--build", build, "-j2", "--target", "install"], check=True)
    assert "torch" not in (package / "lib" / "versions.txt").read_text()
    assert not (package / "lib" / "plugins" / "libOpenMMCGTorch.so").exists()
    check(without_torch(tmp_path, package))
