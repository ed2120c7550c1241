"""A folder of results holds those of one run, whole, at whatever moment its process is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gossamer.cli.results import RESULTS, results_folder, results_together, writable_folder
from gossamer.errors import OutputError, UsageError

# Publishes the results `new` in a folder, and kills itself just before the k-th change that it makes to a folder.
PUBLISH = """
import os, signal, sys
folder, k, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
from pathlib import Path
from gossamer.cli import results
if how == "no exchange":
    results._exchange = lambda one, other: False
if how == "within":
    os.chdir(folder)
files = {"out": Path(folder) / "m", "record": Path(folder) / "m.json", "report": Path(folder).parent / "r.html"}
if how.startswith("together"):
    results.finish_together(files)
else:
    path = results.writable_folder(Path(folder))
if how == "together on two disks":
    replace = os.replace
    def within_a_disk(source, target):
        if Path(target).name == "r.html" and ".new" in str(source):
            raise OSError(18, "Invalid cross-device link")
        return replace(source, target)
    os.replace = within_a_disk
count = 0
def deadly(change):
    def changed(*arguments, **options):
        global count
        count += 1
        if count == k:
            os.kill(os.getpid(), signal.SIGKILL)
        return change(*arguments, **options)
    return changed
for name in ("rename", "replace", "unlink", "mkdir", "rmdir", "open"):
    setattr(os, name, deadly(getattr(os, name)))
Path.unlink = deadly(Path.unlink)
results._exchange = deadly(results._exchange)
if how.startswith("together"):
    with results.results_together(files) as arriving:
        for name in files:
            arriving[name].write_text("new")
else:
    with results.results_folder(path) as staging:
        for name in results.RESULTS:
            (staging / name).write_text("new")
print(count)
"""


def publish(folder: Path, k: int, how: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", PUBLISH, str(folder), str(k), how], capture_output=True, text=True)


def state(folder: Path) -> dict[str, str]:
    return {p.name: p.read_text() for p in folder.iterdir()} if folder.exists() else {}


@pytest.mark.parametrize("how", ["exchange", "no exchange", "within", "first"])
def test_killed_at_every_step(how: str, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    old, new = (dict.fromkeys(RESULTS, word) for word in ("old", "new"))
    seen = []
    for k in range(1, 200):
        if how != "first":
            folder.mkdir(exist_ok=True)
            for name in RESULTS:
                (folder / name).write_text("old")
        ended = publish(folder, k, how)
        found = state(folder)
        seen.append(found)
        assert len({*found.values()}) <= 1, f"step {k} mixes {found}"
        if how == "exchange":
            assert found in (old, new), k
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        again = publish(folder, 0, how)  # the next run tidies up and succeeds
        assert again.returncode == 0, again.stderr
        assert state(folder) == new
        assert [p.name for p in tmp_path.iterdir()] == ["out"], k
        if how == "first":
            for name in RESULTS:
                (folder / name).unlink()
            folder.rmdir()
    assert ended.returncode == 0
    assert seen[-1] == new
    assert seen[0] != new
    assert len(seen) > 3


@pytest.mark.parametrize("how", ["together", "together on two disks"])
def test_files_killed_at_every_step(how: str, tmp_path: Path) -> None:
    """A new model never stands beside an old record, nor the other way round."""
    folder = tmp_path / "out"
    folder.mkdir()
    files = [folder / "m", folder / "m.json", tmp_path / "r.html"]
    seen = []
    for k in range(1, 200):
        for file in files:
            file.write_text("old")
        ended = publish(folder, k, how)
        found = [file.read_text() for file in files if file.exists()]
        assert len({*found}) == 1, f"step {k} mixes {found}"
        seen.append(found)
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        assert publish(folder, 0, how).returncode == 0  # the next run tidies up and succeeds
        assert [file.read_text() for file in files] == ["new"] * 3
        assert sorted(p.name for p in (*tmp_path.iterdir(), *folder.iterdir())) == ["m", "m.json", "out", "r.html"], k
    assert seen[0] == ["old"] * 3
    assert seen[-1] == ["new"] * 3
    assert len(seen) > 5


def test_files_that_fail_leave_those_of_before(tmp_path: Path) -> None:
    files = {"out": tmp_path / "m", "record": tmp_path / "m.json"}
    for file in files.values():
        file.write_text("old")

    def fail(arriving: dict[str, Path]) -> None:
        arriving["out"].write_text("new")
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match=r"m: .*No space"), results_together(files) as arriving:
        fail(arriving)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"m": "old", "m.json": "old"}


@pytest.mark.parametrize("moved", [0, 1, 3])
def test_results_under_way_arrive_with_the_next_look(moved: int, tmp_path: Path) -> None:
    folder, ready = tmp_path / "out", tmp_path / ".out.0123abcd.new"
    folder.mkdir()
    ready.mkdir()
    for name in RESULTS[:moved]:
        (folder / name).write_text("new")
    for name in RESULTS[moved:]:
        (ready / name).write_text("new")
    assert writable_folder(folder) == folder
    assert state(folder) == dict.fromkeys(RESULTS, "new")
    assert not ready.exists()


def test_what_has_been_put_there_meanwhile_stays(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "record.json").write_text("old")
    with results_folder(writable_folder(folder)) as staging:
        for name in RESULTS:
            (staging / name).write_text("new")
        (folder / "thesis.tex").write_text("mine")
    assert state(folder) == {**dict.fromkeys(RESULTS, "new"), "thesis.tex": "mine"}
    assert list(tmp_path.iterdir()) == [folder]


def test_a_shell_that_stands_in_the_folder_sees_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with results_folder(writable_folder(Path("."))) as staging:
        for name in RESULTS:
            (staging / name).write_text("new")
    assert sorted(os.listdir(".")) == sorted(RESULTS)


def test_a_failure_leaves_the_old_results(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "record.json").write_text("old")

    def fail(staging: Path) -> None:
        (staging / "record.json").write_text("new")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), results_folder(writable_folder(folder)) as staging:
        fail(staging)
    assert state(folder) == {"record.json": "old"}
    assert list(tmp_path.iterdir()) == [folder]


def test_folders_that_cannot_take_results(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "record.json").symlink_to("elsewhere")
    os.mkfifo(tmp_path / "pipe")
    for name in ("file", "pipe", "linked"):
        with pytest.raises(UsageError):
            writable_folder(tmp_path / name)
    for name in ("loop", "no/x", "file/x", "x" * 300, "nul\0"):
        with pytest.raises(OutputError):
            writable_folder(tmp_path / name)
    assert len(list(tmp_path.iterdir())) == 4


def test_a_link_to_a_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    for _ in range(2):  # the target is made, then replaced
        with results_folder(writable_folder(tmp_path / "link")) as staging:
            for name in RESULTS:
                (staging / name).write_text("new")
        assert (tmp_path / "link").is_symlink()
        assert state(tmp_path / "target") == dict.fromkeys(RESULTS, "new")
