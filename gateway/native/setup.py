"""Translated by Cython and compiled; everything else is in pyproject.toml."""

from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

_SOURCES = sorted(Path("nexus_native").glob("*.pyx"))
_HEADERS = [str(header) for header in sorted(Path("nexus_native").glob("*.h"))]

setup(
    ext_modules=cythonize(
        [
            Extension(
                f"nexus_native.{one.stem}",
                [str(one)],
                include_dirs=["nexus_native"],
                depends=_HEADERS,
                # Not fused, where a processor can: limits are rounded as Python rounds them.
                extra_compile_args=["-O2", "-ffp-contract=off", "-Wall", "-Wextra"],
            )
            for one in _SOURCES
        ],
        language_level=3,
        compiler_directives={
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": False,
        },
        build_dir="build",
    )
)
