"""Build of the C++ part; everything else about the package stands in pyproject.toml.

PyTorch and OpenMM are found by file in the environment that is installed into, even under pip's build isolation,
so that the plugin is built for exactly those. They are never imported. Only where they are absent are pinned
versions added to the build requirements. With OPENMMCG_WITH_TORCH=0 in the environment nothing of PyTorch is built
in or required: models that the native engine knows run, and nothing can be trained.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
WITH_TORCH = os.environ.get("OPENMMCG_WITH_TORCH", "1") != "0"
FALLBACK = {"openmm": "openmm==8.6.1"} | ({"torch": "torch==2.13.0"} if WITH_TORCH else {})
HEADERS = {"nlohmann_json": "nlohmann-json==3.12.0"} | (
    {} if WITH_TORCH else {"pybind11": "pybind11==3.1.0"}  # PyTorch has its headers in it
)


def find_package(name: str) -> Path | None:
    """Return the folder of an installed package without importing it."""
    for folder in [sysconfig.get_path("platlib"), sysconfig.get_path("purelib"), *sys.path]:
        if folder and (Path(folder) / name / "version.py").is_file():
            return Path(folder) / name
    return None


def version_of(package: Path) -> str:
    """Read the version of torch or openmm from its version.py."""
    text = (package / "version.py").read_text()
    match = re.search(r"^(?:__version__|short_version)\s*=\s*['\"]([^'\"]+)", text, re.MULTILINE)
    if match is None:
        raise RuntimeError(f"No version in {package / 'version.py'}; reinstall {package.name}.")
    return match.group(1)


def requirement(name: str) -> str:
    """Pin the minor version that is there: the binary interface changes with every minor version."""
    package = find_package(name)
    if package is None:
        return FALLBACK[name]
    major, minor = version_of(package).split(".")[:2]
    return f"{name}>={major}.{minor},<{major}.{int(minor) + 1}"


class CMakeBuild(build_ext):
    """Configure, build and install with CMake into the package's folder."""

    def build_extension(self, ext: Extension) -> None:
        packages = {name: find_package(name) for name in FALLBACK}
        headers = {name: find_headers(name) for name in HEADERS}
        missing = [name for name, folder in (packages | headers).items() if folder is None]
        if missing:
            raise RuntimeError(
                f"Cannot build without {', '.join(missing)}: "
                f"pip install {' '.join([*FALLBACK.values(), *HEADERS.values()])}"
            )
        target = Path(self.get_ext_fullpath(ext.name)).resolve().parent
        # A build folder kept by setuptools would remember tools of pip's build environment, which is gone next time.
        with tempfile.TemporaryDirectory(prefix="openmmcg-build-") as scratch:
            build = os.environ.get("OPENMMCG_BUILD_DIR", scratch)
            configure = [
                "cmake", "-S", str(ROOT), "-B", build, "-G", "Ninja",
                f"-DPython3_EXECUTABLE={sys.executable}",
                f"-DOPENMM_DIR={packages['openmm'].parent / 'OpenMM.libs'}",
                f"-DJSON_INCLUDE_DIR={headers['nlohmann_json']}",
                f"-DOPENMMCG_OPENMM_VERSION={version_of(packages['openmm'])}",
                *(torch_options(packages["torch"]) if WITH_TORCH else torchless_options(headers)),
                f"-DCMAKE_INSTALL_PREFIX={target}",
                f"-DOPENMMCG_CUDA_PACKAGES={os.environ.get('OPENMMCG_CUDA_PACKAGES', '')}",
                f"-DOPENMMCG_BUILD_TESTS={'ON' if os.environ.get('OPENMMCG_BUILD_TESTS') else 'OFF'}",
            ]  # fmt: skip
            subprocess.run(configure, check=True)
            subprocess.run(["cmake", "--build", build, "--target", "install"], check=True)
            if self.editable_mode or self.inplace:
                # setuptools copies the extension module into the source tree, but not what lies beside it.
                package = ROOT / "python" / "openmmcg"
                subprocess.run(["cmake", "--install", build, "--prefix", str(package)], check=True)


def torch_options(torch: Path) -> list[str]:
    """Options of CMake for a build with the TorchScript runner."""
    return [
        "-DOPENMMCG_WITH_TORCH=ON",
        f"-DTORCH_DIR={torch}",
        f"-DPYBIND11_INCLUDE_DIR={torch / 'include'}",
        f"-DOPENMMCG_TORCH_VERSION={version_of(torch)}",
    ]


def torchless_options(headers: dict[str, Path]) -> list[str]:
    """Options of CMake for a build without PyTorch."""
    return ["-DOPENMMCG_WITH_TORCH=OFF", f"-DPYBIND11_INCLUDE_DIR={headers['pybind11']}"]


def find_headers(name: str) -> Path | None:
    """Return the include folder of a package of C++ headers."""
    for folder in [*sys.path, sysconfig.get_path("purelib")]:
        include = Path(folder) / name / "include"
        if include.is_dir():
            return include
    return None


setup(
    ext_modules=[Extension("openmmcg._openmmcg", sources=[])],
    cmdclass={"build_ext": CMakeBuild},
    setup_requires=[
        *(FALLBACK[name] for name in FALLBACK if find_package(name) is None),
        *(HEADERS[name] for name in HEADERS if find_headers(name) is None),
    ],
    install_requires=[
        *(requirement(name) for name in FALLBACK),
        *(["lightning>=2.4"] if WITH_TORCH else []),
        "numpy",
        "scipy",
        "mdtraj>=1.10",
        "h5py>=3.10",
        "jsonargparse[signatures]>=4.35",
        "matplotlib>=3.8",
        "jinja2>=3.1",
        "networkx>=3.2",
        "pyyaml>=6",
        "rich>=13",
        "safetensors>=0.4",
    ],
)
