"""Installs ``keras_port`` (GRU4Rec in Keras 3), ``original`` (on Aesara or PyTensor, by the extra ``original``),
``gru4rec`` (the command, and what commands and harness share) and ``parity`` (the harness over both engines).
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
    description="GRU4Rec on Aesara or PyTensor, and on Keras 3, and a harness that shows that they are the same",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    license="MIT",
    # Listed here, CITATION.cff also travels in the source archive, where the version above is read from it.
    license_files=["LICENSE", "LICENSE-DATA", "CITATION.cff"],
    packages=find_packages(str(ROOT), include=[f"{name}{end}" for name in PACKAGES for end in ("", ".*")]),
    package_data={
        "": ["py.typed"],
        "gru4rec.reproduction": ["templates/*"],
        "parity.recordings": ["*.npz", "*.json", "*.md"],
        "parity.convergence": ["*.npz", "*.json"],
        "parity.mutants": ["*.json"],
        "parity.report": ["*.json", "*.css", "templates/*"],
    },
    entry_points={"console_scripts": ["gru4rec=gru4rec.cli:program"]},
    # From below: pandas 3, Polars 2 and Keras 3.15 start at Python 3.11. From above: what no wheel is known for.
    python_requires=">=3.11,<3.15",
    # What keras_port, gru4rec and parity need. original is an extra.
    install_requires=[
        # Both majors are tested; the extra original pins 1.26.4 where it brings Aesara.
        "numpy>=1.26,<3",
        "scipy>=1.12,<2",
        # 2.21 has wheels for Python 3.11 to 3.13, NumPy 1.26 and 2; for 3.14 there are release candidates of 2.22
        # only. There keras_port runs on JAX or PyTorch: KERAS_BACKEND=jax with the extra jax.
        'tensorflow==2.21.*; python_version < "3.14"',
        "keras>=3.12,<4",
        # A .keras file holds HDF5, whose declared sizes are looked at before Keras reads it.
        "h5py>=3.10,<4",
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
        # The symbolic library of original: Aesara on Python 3.11, PyTensor elsewhere.
        "original": [
            # Python 3.12 has no numpy.distutils, which Aesara 2.9.4, its last release, imports to look for a BLAS.
            'aesara==2.9.4; python_version < "3.12"',
            # Aesara 2.9.4 admits NumPy below 2 and SciPy up to 1.12.0; these are the last of both.
            'numpy==1.26.4; python_version < "3.12"',
            'scipy==1.12.0; python_version < "3.12"',
            # Aesara imports setuptools._distutils when it runs. From 70 on that warns at every import, and from 74 on
            # it hides distutils.msvccompiler, without which numpy.distutils, and so Aesara, cannot be imported.
            'setuptools>=65,<70; python_version < "3.12"',
            # PyTensor 3.3 asks for Python 3.12. original uses internals of it (tests/original/graphs/test_internals.py
            # names them), which move from one minor release to the next.
            'pytensor>=3.3.8,<3.4; python_version >= "3.12"',
        ],
        "jax": [
            # Aesara 2.9.4 generates code for JAX, whose interface moves; later JAX also leaves NumPy 1.26 behind.
            'jax==0.6.2; python_version < "3.12"',
            'jaxlib==0.6.2; python_version < "3.12"',
            # Tested: 0.11.2 and 0.12.0, with PyTensor 3.3.8 and with Keras 3.15.
            'jax>=0.11.2,<0.13; python_version >= "3.12"',
            'jaxlib>=0.11.2,<0.13; python_version >= "3.12"',
        ],
        "torch": [
            # PyTorch 2.13 asks for setuptools 77 or later, which Aesara does not admit (above).
            'torch>=2.6,<2.13; python_version < "3.12"',
            # 2.11 is the one that is tested; for 3.14 the first wheels are later.
            'torch>=2.6,<3; python_version >= "3.12"',
        ],
        # Validates the descriptions of prepared data sets, and reads the data by them; writing them takes no library.
        "croissant": ["mlcroissant>=1.1,<2"],
        # For studies of `gru4rec tune` that several hosts share.
        "postgresql": ["psycopg[binary]>=3.2,<4"],
        # The example service, and its load test.
        "serving": ["fastapi>=0.115,<1", "uvicorn>=0.30,<1", "httpx>=0.27,<1"],
        # GRU4Rec.export(path, form="onnx"), and what runs such a file.
        "onnx": [
            'tf2onnx>=1.17,<2; python_version < "3.14"',  # where TensorFlow is
            "onnx>=1.17,<2", "onnxruntime>=1.20,<2",
        ],
        # The pages as a site, its notebooks run by the build.
        "docs": [
            "sphinx>=8,<10", "furo>=2025", "myst-nb>=1.3,<2", "ipykernel>=6", "sphinx-copybutton>=0.5",
            "latex2mathml>=3.77",
        ],
        "test": [
            # of the extras serving and onnx
            'tf2onnx>=1.17,<2; python_version < "3.14"', 'onnx>=1.17,<2; python_version < "3.14"',
            'onnxruntime>=1.20,<2; python_version < "3.14"',
            "fastapi>=0.115,<1", "httpx>=0.27,<1",
            "pytest>=8", "pytest-xdist>=3.6", "hypothesis>=6.100", "mlcroissant>=1.1,<2",
            "ruff>=0.8", "mypy>=1.15,<3", "pandas-stubs>=3,<4",
            # The wheel and the source archive are built and looked at; setuptools below 70.1 needs wheel for that.
            "setuptools>=65", "wheel>=0.43", "build>=1.2", "twine>=6", "pyyaml>=6",
        ],
    },
    classifiers=[
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
