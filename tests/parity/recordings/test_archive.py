"""Files of a stranger: damaged, forged, or meant to fill the memory."""

import io
import os
import struct
import subprocess
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parity.recordings import archive
from parity.recordings.reading import SHIPPED, read

MAGIC = b"\x93NUMPY\x01\x00"


def npy(header, data=b"", version=b"\x01\x00"):
    text = header.encode("latin1") + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H" if version[0] == 1 else "<I", len(text)) + text + data


def header(descr="<f8", shape="(3,)", order="False"):
    return f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}"


def zipped(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def refused(path, *words, limit=archive.LIMIT):
    with pytest.raises(ValueError) as caught:
        archive.read_arrays(path, limit)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and len(message) < 600 and "\n" not in message
    for word in words:
        assert word in message, message


@pytest.mark.parametrize(
    "array",
    [
        np.array(3), np.array(True), np.arange(6).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.zeros((0, 4)), np.array(["a", "bcd"]), np.array("\U0001f600"), np.arange(3, dtype=">f8"),
        np.arange(3, dtype=">i2"), np.arange(3, dtype="f2"), np.array([2**64 - 1], "u8"), np.array([False, True]),
        np.array(["é"], ">U3"), np.arange(4, dtype="i1"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_writes_is_read(tmp_path, array, save):
    save(tmp_path / "a.npz", a=array)
    found = archive.read_arrays(tmp_path / "a.npz")["a"]
    assert found.shape == array.shape and found.dtype == array.dtype.newbyteorder("=") and found.dtype.isnative
    assert np.array_equal(found, array)


@pytest.mark.parametrize("version", [b"\x01\x00", b"\x02\x00", b"\x03\x00"])
def test_every_version_of_the_header_is_read(tmp_path, version):
    path = zipped(tmp_path / "a.npz", {"a.npy": npy(header(), np.arange(3.0).tobytes(), version)})
    assert archive.read_arrays(path)["a"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("text", ["{'shape':(3,),'descr':'<f8','fortran_order':False}", header(shape="(3L,)")])
def test_headers_of_other_programs_are_read(tmp_path, text):
    path = zipped(tmp_path / "a.npz", {"a.npy": npy(text, np.arange(3.0).tobytes())})
    assert archive.read_arrays(path)["a"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x93NUMPY", MAGIC, MAGIC + b"\xff\xff", b"text", npy("{}"), npy("[]"), npy("{" * 5000),
        npy("__import__('os').system('true')"), npy(header("|O")), npy(header("|V8")), npy(header("<c16")),
        npy(header("<m8[s]")), npy(header("|S8")), npy(header("<f16")), npy(header("<U0", "(9,)")),
        npy(header("<U99999999", "(99999999999,)")), npy(header("[('a', '<f8')]")), npy(header(shape="(-3,)")),
        npy(header(shape="3")), npy(header(shape="(3.0,)")), npy(header(shape="(" + "1," * 50 + ")")),
        npy(header(shape="(" + "9" * 400 + ",)")), npy(header(order="1")), npy(header(order="None")),
        npy(header(), b"\0" * 23), npy(header(), b"\0" * 25), npy(header("|b1"), b"\0\1\2"),
        npy(header("|b1"), b"\0\1\xff"),
        npy(header("<U1", "(1,)"), b"\xff\xff\xff\xff"), npy(header("<U1", "(1,)"), b"\x00\xd8\x00\x00"),
        npy(header(), b"\0" * 24, b"\x04\x00"), npy(header(shape="()"), b""), npy(header() + " " * 20_000, b"\0" * 24),
        npy(header() * 2, b"\0" * 24), npy("{'descr':'<f8','descr':'<f8','shape':(3,)}", b"\0" * 24),
    ],
)  # fmt: skip
def test_a_member_that_is_no_plain_array_is_refused(tmp_path, data):
    refused(zipped(tmp_path / "a.npz", {"step000/X.npy": data}), "step000/X: ")


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "a.npz",
        "../a.npy",
        "/a.npy",
        "a//b.npy",
        "a/.npy",
        "a b.npy",
        "é.npy",
        "a\\b.npy",
        "a" * 300 + ".npy",
        "x/",
    ],
)
def test_a_member_with_another_name_is_refused(tmp_path, name):
    refused(zipped(tmp_path / "a.npz", {name: npy(header(), b"\0" * 24)}), "no name of a part")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        for _ in range(2):
            file.writestr("a.npy", npy(header(), b"\0" * 24))
    refused(tmp_path / "a.npz", "a: there twice")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(tmp_path, method):
    refused(zipped(tmp_path / "a.npz", {"a.npy": npy(header(), b"\0" * 24)}, method), "compression method")


def test_an_encrypted_member_is_refused(tmp_path):
    path = zipped(tmp_path / "a.npz", {"a.npy": npy(header(), b"\0" * 24)})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    refused(path, "a: encrypted")


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip", b"PK\x05\x06" + b"\0" * 18 + b"more", b"\0" * 100_000])
def test_what_is_no_archive_is_refused(tmp_path, data):
    (tmp_path / "a.npz").write_bytes(data)
    refused(tmp_path / "a.npz")


def test_what_cannot_be_read_is_an_os_error(tmp_path):
    for path in (tmp_path / "missing.npz", tmp_path, "/dev/null", "/dev/zero"):
        with pytest.raises(OSError, match=str(path)):
            archive.read_arrays(path)
    os.mkfifo(tmp_path / "fifo")  # opening one would wait for ever
    with pytest.raises(OSError, match="no regular file"):
        archive.read_arrays(tmp_path / "fifo")


def test_a_folder_reached_by_a_link_is_an_os_error(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(OSError):
        read(tmp_path / "loop")


# sizes that are declared, and sizes that are real


def test_a_declared_73_tebibytes_is_refused(tmp_path):
    path = zipped(tmp_path / "a.npz", {"a.npy": npy(header(shape=f"({10**13},)"), b"\0" * 24)})
    refused(path, "a: ", f"shape ({10**13},)", str(8 * 10**13))


def directory_says(path, size):
    """Change the decompressed size that the archive's directory declares for its first member."""
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", size)
    path.write_bytes(data)


@pytest.mark.parametrize("size", [0, 10, 130, 4_000_000_000])
def test_a_directory_that_lies_about_a_size_is_refused(tmp_path, size):
    path = zipped(tmp_path / "a.npz", {"a.npy": npy(header(), np.arange(3.0).tobytes())})
    directory_says(path, size)
    refused(path, "a: ")


def bomb(path, members=1, megabytes=64):
    """Zeros, a thousand times smaller in the file."""
    data = npy(header(shape=f"({megabytes << 17},)"), bytes(megabytes << 20))
    return zipped(path, {f"init/Wx{j}.npy": data for j in range(members)})


def test_a_bomb_is_refused_before_it_is_read(tmp_path):
    path = bomb(tmp_path / "a.npz", members=3)
    assert path.stat().st_size < 300_000
    tracemalloc.start()
    refused(path, "init/Wx1: ", "at most 100000000 are accepted", limit=100_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


def test_a_bomb_under_another_size_takes_no_memory(tmp_path):
    path = bomb(tmp_path / "a.npz")
    directory_says(path, 200)
    tracemalloc.start()
    refused(path, "init/Wx0: ")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000


def test_no_more_than_the_limit_is_taken(tmp_path):
    path = bomb(tmp_path / "a.npz")
    tracemalloc.start()
    archive.read_arrays(path, 65 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 68 << 20


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_low_limit_takes_what_fits_it(tmp_path, method):
    values = np.random.RandomState(0).rand(50_000)
    path = zipped(tmp_path / "a.npz", {"a.npy": npy(header(shape="(50000,)"), values.tobytes())}, method)
    assert np.array_equal(archive.read_arrays(path, 500_000)["a"], values)
    refused(path, "a: ", limit=399_999)


def test_many_members_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MOST_MEMBERS", 10)
    data = npy(header(), b"\0" * 24)
    refused(zipped(tmp_path / "a.npz", {f"a{j}.npy": data for j in range(11)}), "11 members")


def test_a_large_directory_is_refused_before_it_is_read(tmp_path):
    members = {f"{'a' * 150}{j}.npy": b"" for j in range(1000)}
    path = zipped(tmp_path / "a.npz", members, zipfile.ZIP_STORED)
    refused(path, "a directory of", limit=1 << 20)


_CHILD = """
import resource, sys
from parity.recordings.reading import read
read(sys.argv[1])  # everything is imported and loaded
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20),) * 2)
for path in sys.argv[2:]:
    try:
        read(path, 64 << 20)
    except ValueError as refusal:
        print(refusal)
"""


def test_no_file_takes_memory_beyond_the_limit(tmp_path):
    files = [bomb(tmp_path / "real.npz", members=8), bomb(tmp_path / "forged.npz", megabytes=500)]
    directory_says(files[1], 1000)
    files.append(zipped(tmp_path / "declared.npz", {"a.npy": npy(header(shape=f"({10**13},)"), b"\0" * 24)}))
    command = [sys.executable, "-c", _CHILD, SHIPPED / "opt-sgd.npz", *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert [line.split(": ")[0] for line in done.stdout.splitlines()] == list(map(str, files))


# random damage


def survives(path):
    """Nothing but a recording, ValueError or OSError comes of it."""
    try:
        read(path, 1 << 22)
    except ValueError as refusal:
        assert str(refusal).startswith(f"{path}: ") and len(str(refusal)) < 700
        return False
    except OSError:
        return False
    return True


few = settings(max_examples=1500, suppress_health_check=list(HealthCheck), database=None)
many = settings(max_examples=20_000, suppress_health_check=list(HealthCheck), database=None)
CHANGES = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8)
CUTS = st.tuples(st.floats(0, 1), st.floats(0, 1))


def mutated(data, changes, cut):
    data = bytearray(data)
    for where, value in changes:
        data[int(where * len(data))] = value
    begin, end = sorted(int(part * len(data)) for part in cut)
    return bytes(data[:begin] + data[end:]) if len(changes) % 4 == 0 else bytes(data)


def check_bytes(small_file, tmp_path_factory, changes, cut):
    path = tmp_path_factory.getbasetemp() / "mutated.npz"
    original = small_file.read_bytes()
    data = mutated(original, changes, cut)
    path.write_bytes(data)
    survives(path)


@few
@given(changes=CHANGES, cut=CUTS)
def test_mutated_files(small_file, tmp_path_factory, changes, cut):
    check_bytes(small_file, tmp_path_factory, changes, cut)


@pytest.mark.slow
@many
@given(changes=CHANGES, cut=CUTS)
def test_many_mutated_files(small_file, tmp_path_factory, changes, cut):
    check_bytes(small_file, tmp_path_factory, changes, cut)


def check_members(small, tmp_path_factory, which, changes, cut):
    """Damage within members, under right checksums: what a hostile writer, and no failing disk, makes."""
    path = tmp_path_factory.getbasetemp() / "rewritten.npz"
    keys = sorted(small)
    hit = {keys[int(part * len(keys))] for part in which}
    with zipfile.ZipFile(path, "w") as file:
        for key in keys:
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, small[key])
            data = buffer.getvalue()
            file.writestr(f"{key}.npy", mutated(data, changes, cut) if key in hit else data)
    survives(path)


WHICH = st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=3)


@settings(few, max_examples=500)
@given(which=WHICH, changes=CHANGES, cut=CUTS)
def test_mutated_members(small, tmp_path_factory, which, changes, cut):
    check_members(small, tmp_path_factory, which, changes, cut)


@pytest.mark.slow
@many
@given(which=WHICH, changes=CHANGES, cut=CUTS)
def test_many_mutated_members(small, tmp_path_factory, which, changes, cut):
    check_members(small, tmp_path_factory, which, changes, cut)


@settings(few, max_examples=500)
@given(data=st.binary(max_size=400))
def test_bytes_that_are_anything(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "anything.npz"
    path.write_bytes(data)
    assert not survives(path)


def test_the_unchanged_file_survives(small_file):
    assert survives(small_file)
