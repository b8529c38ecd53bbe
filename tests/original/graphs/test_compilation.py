"""Compilation ahead of the library: the replaced compiler, the precompiled headers."""

import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from original.graphs.c_backend import c_mode
from original.graphs.compilation import compiler_replaced, has_compiler, precompiled_headers
from original.graphs.library import LIBRARY, cmodule, config, function, tensor

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.skipif(not has_compiler(), reason="there is no C++ compiler")


def present_compiler():
    return cmodule.GCC_compiler.__dict__["compile_str"]


def test_the_compiler_is_put_back_after_an_error():
    before = present_compiler()
    with pytest.raises(RuntimeError, match="inside"), compiler_replaced(lambda: "mine"):
        assert cmodule.GCC_compiler.compile_str() == "mine"
        raise RuntimeError("inside")
    assert present_compiler() is before


def test_threads_replace_the_compiler_one_after_the_other():
    """Each finds its own one in its block, and the library's own is there in the end."""
    before, wrong, start = present_compiler(), [], threading.Barrier(4)

    def work(number):
        start.wait()
        for _ in range(200):
            with compiler_replaced(lambda: number):
                if cmodule.GCC_compiler.compile_str() != number:
                    wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and present_compiler() is before


def test_threads_compile_graphs_at_once():
    """Operations that no cache has: the numbers in their code are of this process and moment."""
    random, results = np.random.RandomState(os.getpid()), {}

    def work(number, constant):
        x = tensor.dvector()
        results[number] = function([x], tensor.sqrt(x * constant) + x, mode=c_mode())([4.0])[0]

    constants = random.rand(3) + 1
    threads = [threading.Thread(target=work, args=pair) for pair in enumerate(constants)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [results[i] for i in range(3)] == pytest.approx(np.sqrt(4 * constants) + 4)


def compiles(arguments, folder):
    """Whether a file that needs the headers compiles with these arguments."""
    source = folder / "a.cpp"
    source.write_text("int f() { return std::vector<int>().size(); }")
    includes = [f"-I{include}" for include in cmodule.std_include_dirs()]
    done = subprocess.run(
        [config.cxx, "-c", *includes, *arguments, str(source), "-o", os.devnull], capture_output=True, text=True
    )
    return done.returncode == 0


@pytest.mark.parametrize("damage", ["truncated", "a byte", "empty", "no hash"])
def test_damaged_headers_are_compiled_anew(tmp_path, damage):
    folder = tmp_path / "a folder with a blank"
    arguments = precompiled_headers(folder)
    assert arguments == ["-include", str(folder / "headers.h")]
    compiled, digest = folder / "headers.h.gch", folder / "headers.sha256"
    whole = compiled.read_bytes()
    if damage == "no hash":
        digest.unlink()
    else:
        changed = bytearray(whole)
        changed[len(changed) // 2] ^= 255
        compiled.write_bytes({"truncated": whole[:1000], "a byte": bytes(changed), "empty": b""}[damage])
    assert precompiled_headers(folder) == arguments
    assert compiled.stat().st_size > len(whole) / 2 and compiles(arguments, tmp_path)
    assert digest.read_text() == hashlib.sha256(compiled.read_bytes()).hexdigest()
    assert sorted(path.name for path in folder.iterdir()) == ["headers.h", "headers.h.gch", "headers.sha256"]


def test_whole_headers_are_left_alone(tmp_path):
    precompiled_headers(tmp_path)
    before = (tmp_path / "headers.h.gch").stat().st_mtime_ns
    precompiled_headers(tmp_path)
    assert (tmp_path / "headers.h.gch").stat().st_mtime_ns == before


def test_a_folder_that_cannot_be_made_means_plain_headers(tmp_path):
    (tmp_path / "file").write_text("")
    assert precompiled_headers(tmp_path / "file" / "folder") == []


FLAGS = """
import numpy as np
from original.graphs.c_backend import c_mode
from original.graphs.library import config, function, tensor
x = tensor.dmatrix()
f = function([x], tensor.exp(x) / (1 + tensor.square(x)), mode=c_mode())
print(config.gcc__cxxflags)
print(f(np.random.RandomState(0).randn(9, 7)).tobytes().hex())
"""


@pytest.mark.slow
def test_a_blank_in_the_compile_folder_changes_nothing(tmp_path):
    """Neither flags nor results, to the bit."""
    found = []
    for name in ("plain", "with a blank"):
        (tmp_path / name).mkdir()
        environment = os.environ | {"HOME": str(tmp_path / name), "PYTHONPATH": str(ROOT)}
        environment.pop(f"{LIBRARY.upper()}_FLAGS", None)
        done = subprocess.run([sys.executable, "-c", FLAGS], capture_output=True, text=True, env=environment, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        found.append(done.stdout)
        assert list((tmp_path / name).rglob("headers.h.gch"))
    assert found[0] == found[1]
