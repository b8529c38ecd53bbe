"""Installs ``original`` (GRU4Rec on Aesara), ``keras_port`` (in Keras 3), ``gru4rec`` (the command, and what commands
and harness share) and ``parity`` (the harness over both engines).
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
README = ROOT / "README.md"
PACKAGES = ("original", "keras_port", "gru4rec", "parity")


def cited_version() -> str:
    """The version that people cite is the version that they install: it stands in CITATION.cff and nowhere else."""
    return re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)[1]


setup(
    name="gru4rec-parity",
    version=cited_version(),
    description="GRU4Rec on Aesara and on Keras 3, and a harness that shows that the two are the same algorithm",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    license="MIT",
    # Listed here, CITATION.cff also travels in the source archive, where the version above is read from it.
    license_files=["LICENSE", "CITATION.cff"],
    packages=find_packages(str(ROOT), include=[f"{name}{end}" for name in PACKAGES for end in ("", ".*")]),
    package_data={
        "": ["py.typed"],
        "gru4rec.reproduction": ["templates/*"],
        "parity.recordings": ["*.npz", "*.json", "*.md"],
        "parity.convergence": ["*.npz", "*.json"],
        "parity.mutants": ["*.json"],
        "parity.report": ["*.json", "*.css", "templates/*"],
    },
    entry_points={"console_scripts": ["gru4rec=gru4rec.cli:main"]},
    # From below: pandas 3, Polars 2 and Keras 3.15 start at Python 3.11. From above: Python 3.12 has no
    # numpy.distutils, which Aesara 2.9.4 imports with NumPy 1.26 to look for a BLAS.
    python_requires=">=3.11,<3.12",
    install_requires=[
        "aesara==2.9.4",
        # Aesara 2.9.4 admits NumPy below 2 and SciPy up to 1.12.0; these are the last of both.
        "numpy==1.26.4",
        "scipy==1.12.0",
        # Aesara imports setuptools._distutils when it runs. From 70 on that warns at every import, and from 74 on
        # it hides distutils.msvccompiler, without which numpy.distutils, and so Aesara, cannot be imported.
        "setuptools>=65,<70",
        "tensorflow==2.21.*",
        "keras>=3.12,<4",
        "pandas>=3,<4",
        "polars>=2.1,<3",
        "matplotlib>=3.10,<4",
        "rich>=14,<16",
        "jinja2>=3.1,<4",
        "markupsafe>=2",
        # Older ones cannot resolve the references within a schema of draft 2020-12 by their registry.
        "jsonschema>=4.18,<5",
        # Without it a report cannot say which BLAS kernel ran, nor on how many threads.
        "threadpoolctl>=3.5,<4",
        "safetensors>=0.5,<1",
        # Completion of the command in shells, from its own parsers.
        "shtab>=1.7,<2",
        "optuna>=5,<6",
        # Optuna's storage; its errors are what a storage that cannot be reached raises.
        "sqlalchemy>=2,<3",
    ],
    extras_require={
        # Aesara 2.9.4 generates code for JAX, whose interface moves; later JAX also leaves NumPy 1.26 behind.
        "jax": ["jax==0.6.2", "jaxlib==0.6.2"],
        # PyTorch 2.13 asks for setuptools 77 or later, which Aesara does not admit (above).
        "torch": ["torch>=2.6,<2.13"],
        # Validates the descriptions of prepared data sets, and reads the data by them; writing them takes no library.
        "croissant": ["mlcroissant>=1.1,<2"],
        # For studies of `gru4rec tune` that several hosts share.
        "postgresql": ["psycopg[binary]>=3.2,<4"],
        # The example service, and its load test.
        "serving": ["fastapi>=0.115,<1", "uvicorn>=0.30,<1", "httpx>=0.27,<1"],
        # The pages as a site, its notebooks run by the build.
        "docs": [
            "sphinx>=8,<10", "furo>=2025", "myst-nb>=1.3,<2", "ipykernel>=6", "sphinx-copybutton>=0.5",
            "latex2mathml>=3.77",
        ],
        "test": [
            # of the example service, as in the extra serving
            "fastapi>=0.115,<1", "httpx>=0.27,<1",
            "pytest>=8", "pytest-xdist>=3.6", "hypothesis>=6.100", "mlcroissant>=1.1,<2",
            "ruff>=0.8", "mypy>=1.15,<3", "pandas-stubs>=3,<4",
        ],
    },
    classifiers=[
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3.11",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
