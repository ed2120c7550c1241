"""Files appear whole, only over regular files, and killed processes leave nothing for long."""

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gossamer.errors import OutputError
from gossamer.files import atomic_path, place_of, write_text

ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 7))


def _block_device(path: Path) -> None:
    os.mknod(path, stat.S_IFBLK | 0o666, os.makedev(7, 200))


def _socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as found:
        found.bind(path.name)
    os.chdir(here)


def _folder(path: Path) -> None:
    path.mkdir()


KINDS = {
    "pipe": _fifo,
    "socket": _socket,
    "folder": _folder,
    "device": pytest.param(_device, marks=pytest.mark.skipif(not ROOT, reason="only root makes devices")),
    "block device": pytest.param(_block_device, marks=pytest.mark.skipif(not ROOT, reason="only root makes devices")),
}


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_what_is_no_file_is_refused_and_stays(make, linked: bool, tmp_path: Path) -> None:
    node, path = tmp_path / "node", tmp_path / "link"
    try:
        make(node)
    except PermissionError:
        pytest.skip("this system lets nobody make such a node")
    if linked:
        path.symlink_to(node)
    else:
        path = node
    before = os.lstat(node)
    with pytest.raises(OutputError, match=r"it is a .*; give the name of a file\."):
        write_text(path, "x")
    after = os.lstat(node)
    assert (after.st_mode, after.st_ino) == (before.st_mode, before.st_ino)
    assert {p.name for p in tmp_path.iterdir()} == {"node", path.name}


@pytest.mark.parametrize(
    "name", ["/dev/stdout", "/dev/stderr", "/dev/fd/1", "/dev/null", "/proc/self/fd/1", "/dev/fd/77"]
)
def test_streams_and_system_devices_are_refused(name: str, tmp_path: Path) -> None:
    """Whatever the streams are; only asked, never written, should the code be wrong."""
    for target in (subprocess.PIPE, (tmp_path / "caught").open("w")):
        code = f"from gossamer.files import place_of\nplace_of({name!r})"
        found = subprocess.run(
            [sys.executable, "-c", code], stdout=target, stderr=subprocess.PIPE, text=True, check=False
        )
        if name == "/dev/fd/77":  # nothing there: it is refused when the file is made
            assert found.returncode == 0
        else:
            assert "OutputError" in found.stderr
        if target != subprocess.PIPE:
            target.close()


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    target = tmp_path / "deep" / "target"
    target.write_text("old")
    (tmp_path / "middle").symlink_to("deep/target")
    link = tmp_path / "link"
    link.symlink_to("middle")
    write_text(link, "new")
    assert (link.is_symlink(), target.is_symlink(), target.read_text()) == (True, False, "new")
    target.unlink()
    write_text(link, "made")  # the link dangled
    assert (link.is_symlink(), target.read_text()) == (True, "made")
    assert list(target.parent.iterdir()) == [target]


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    (tmp_path / "lost").symlink_to("no/where")
    for name in ("loop", "loop/x", "no/x", "file/x", "lost", "x" * 300, "nul\0"):
        with pytest.raises(OutputError, match="cannot be written"):
            write_text(tmp_path / name, "x")
    assert {p.name for p in tmp_path.iterdir()} == {"loop", "file", "lost"}


@pytest.mark.skipif(not ROOT, reason="becomes another user")
def test_what_is_read_only_stays(tmp_path: Path) -> None:
    locked, sealed = tmp_path / "locked", tmp_path / "sealed"
    locked.mkdir(mode=0o755)
    (locked / "theirs").write_text("old")
    os.chmod(locked / "theirs", 0o666)
    sealed.write_text("old")
    os.chmod(sealed, 0o444)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        os.chmod(folder, 0o777)
    code = (
        "import os, sys\nfrom gossamer.errors import OutputError\nfrom gossamer.files import write_text\n"
        "os.setuid(65534)\nfor path in sys.argv[1:]:\n"
        "    try: write_text(path, 'new')\n    except OutputError as error: print(error)\n"
    )
    line = [sys.executable, "-c", code, str(locked / "theirs"), str(locked / "new"), str(sealed)]
    told = subprocess.run(line, capture_output=True, text=True, check=True).stdout.splitlines()
    assert ["ermission denied" in told[0], "ermission denied" in told[1], "read-only" in told[2]] == [True] * 3
    assert (sealed.read_text(), (locked / "theirs").read_text()) == ("old", "old")
    assert list(locked.iterdir()) == [locked / "theirs"]


def test_rights_and_long_names_stay(tmp_path: Path) -> None:
    for name in ("x" * 251 + ".npz", "é" * 127, "." + "y" * 254):
        write_text(tmp_path / name, "x")
    path = tmp_path / "mine"
    path.touch(mode=0o600)
    write_text(path, "x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    write_text(tmp_path / "anew", "x")
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "anew").stat().st_mode) == 0o666 & ~mask
    assert len(list(tmp_path.iterdir())) == 5


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """As every writer tells it: Python's own, numpy's zip, safetensors in Rust, SQLite."""
    code = """
import resource, sys
import ase, numpy as np
from pathlib import Path
import gossamer as gs
from gossamer.data.dataset import Dataset, Provenance
folder = Path(sys.argv[1])
from gossamer.errors import OutputError
from gossamer.files import atomic_path, write_text
data = gs.read(sys.argv[2])
def safe(path):
    from safetensors.numpy import save_file
    with atomic_path(path) as temporary:
        save_file({"a": np.zeros(99999)}, temporary)
writers = {"text": lambda p: write_text(p, "x" * 999999), "model": safe}
for suffix in ("npz", "extxyz", "traj", "db"):
    writers[f"data.{suffix}"] = lambda p: gs.write(data, p)
for name in writers:
    (folder / name).write_text("old")
gs.write(data, folder / "warm.db")  # imports all there is to import
(folder / "warm.db").unlink()
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
for name, write in writers.items():
    try:
        write(folder / name)
    except OutputError as error:
        print(error)
"""
    data = Path(__file__).parents[1] / "data" / "ethanol_60.npz"
    line = [sys.executable, "-X", "dev", "-c", code, str(tmp_path), str(data)]
    found = subprocess.run(line, capture_output=True, text=True, check=True)
    assert len(found.stdout.splitlines()) == 6, found
    assert all("cannot be written (" in told and told.endswith("place.") for told in found.stdout.splitlines())
    assert "Exception ignored" not in found.stderr
    names = {"text", "model", "data.npz", "data.extxyz", "data.traj", "data.db"}
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == dict.fromkeys(names, "old")


def test_a_failure_of_another_kind_is_not_renamed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "x"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_what_the_killed_leave_is_removed_and_what_the_living_need_stays(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom gossamer.files import atomic_path\nwith atomic_path(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half')\n    print(flush=True)\n    sys.stdin.read()\n"
    )
    path = tmp_path / "m [1].npz"
    line = [sys.executable, "-c", code, str(path)]
    dead, living = (subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2))
    for process in (dead, living):
        assert process.stdout is not None
        process.stdout.readline()
    (tmp_path / ".m [1].npz.note.tmp").mkdir()  # not ours
    (tmp_path / ".m [1].npz.0123abcd.tmp").symlink_to(tmp_path)
    dead.send_signal(signal.SIGKILL)
    dead.communicate()
    assert len(list(tmp_path.iterdir())) == 4
    write_text(path, "whole")
    assert len(list(tmp_path.iterdir())) == 4
    living.communicate()
    assert (living.returncode, path.read_text()) == (0, "half")
    assert {p.name for p in tmp_path.iterdir()} == {path.name, ".m [1].npz.note.tmp", ".m [1].npz.0123abcd.tmp"}


def test_place_of_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert place_of("x") == tmp_path / "x"
