"""Build of the C++ part; everything else about the package stands in pyproject.toml.

PyTorch and OpenMM are found by file in the environment that is installed into, even under pip's build isolation,
so that the plugin is built for exactly those. They are never imported. Only where they are absent are pinned
versions added to the build requirements.
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
FALLBACK = {"openmm": "openmm==8.6.1", "torch": "torch==2.13.0"}


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
        json = find_headers()
        missing = [name for name, folder in packages.items() if folder is None]
        if missing or json is None:
            raise RuntimeError(
                f"Cannot build without {', '.join(missing or ['nlohmann-json'])}: "
                f"pip install {' '.join([*FALLBACK.values(), 'nlohmann-json==3.12.0'])}"
            )
        target = Path(self.get_ext_fullpath(ext.name)).resolve().parent
        # A build folder kept by setuptools would remember tools of pip's build environment, which is gone next time.
        with tempfile.TemporaryDirectory(prefix="openmmcg-build-") as scratch:
            build = os.environ.get("OPENMMCG_BUILD_DIR", scratch)
            configure = [
                "cmake", "-S", str(ROOT), "-B", build, "-G", "Ninja",
                f"-DPython3_EXECUTABLE={sys.executable}",
                f"-DOPENMM_DIR={packages['openmm'].parent / 'OpenMM.libs'}",
                f"-DTORCH_DIR={packages['torch']}",
                f"-DJSON_INCLUDE_DIR={json}",
                f"-DOPENMMCG_OPENMM_VERSION={version_of(packages['openmm'])}",
                f"-DOPENMMCG_TORCH_VERSION={version_of(packages['torch'])}",
                f"-DCMAKE_INSTALL_PREFIX={target}",
                f"-DOPENMMCG_BUILD_TESTS={'ON' if os.environ.get('OPENMMCG_BUILD_TESTS') else 'OFF'}",
            ]  # fmt: skip
            subprocess.run(configure, check=True)
            subprocess.run(["cmake", "--build", build, "--target", "install"], check=True)
            if self.editable_mode or self.inplace:
                # setuptools copies the extension module into the source tree, but not what lies beside it.
                package = ROOT / "python" / "openmmcg"
                subprocess.run(["cmake", "--install", build, "--prefix", str(package)], check=True)


def find_headers() -> Path | None:
    """Return the include folder of the package nlohmann-json."""
    for folder in [*sys.path, sysconfig.get_path("purelib")]:
        include = Path(folder) / "nlohmann_json" / "include"
        if (include / "nlohmann" / "json.hpp").is_file():
            return include
    return None


setup(
    ext_modules=[Extension("openmmcg._openmmcg", sources=[])],
    cmdclass={"build_ext": CMakeBuild},
    setup_requires=[FALLBACK[name] for name in FALLBACK if find_package(name) is None],
    install_requires=[
        requirement("openmm"),
        requirement("torch"),
        "numpy",
        "scipy",
        "mdtraj>=1.10",
        "h5py>=3.10",
        "lightning>=2.4",
        "jsonargparse[signatures]>=4.35",
        "matplotlib>=3.8",
        "jinja2>=3.1",
        "networkx>=3.2",
        "pyyaml>=6",
        "rich>=13",
        "safetensors>=0.4",
    ],
)
