"""A run's folder: what names it, what it refuses, and what survives."""

import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from pathlib import Path
from stat import S_IRUSR, S_IXUSR

import fsspec
import pandas as pd
import pytest

from sim.runs.errors import UserError
from sim.runs.files import RemoteFiles
from sim.runs.identity import canonical, digest, identity, written
from sim.runs.lock import LOCK
from sim.runs.provenance import provenance
from sim.runs.store import Run, packed, readable, unpacked
from tests.places import ROOT


@dataclass(frozen=True)
class Setting:
    size: int = 3
    rates: tuple[float, ...] = (0.1, float("inf"))
    path: str = field(default="", metadata={"identity": False})


TABLE = pd.DataFrame({"x": [1.0, 2.0]})


def opened(folder: Path | str, setting: Setting = Setting(), *, resume: bool = False) -> Run:
    return Run.open(folder, setting, resume=resume, parts=["part-0", "part-1"])


def test_identity_is_of_content() -> None:
    assert identity(Setting()) == identity(Setting(path="elsewhere"))
    assert identity(Setting()) != identity(Setting(size=4))
    assert identity(("a", 1)) == identity(["a", 1])
    assert identity(Setting()) == "caf471cc4d9f557a"  # as on every machine and in every version


def test_only_plain_values_have_an_identity() -> None:
    with pytest.raises(TypeError, match="object has no canonical form"):
        canonical({"x": object()})


def test_a_pipe_has_no_digest(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe is a pipe, not a file"):
        digest(tmp_path / "pipe")


def test_digest_of_a_folder_sees_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    first = digest(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert digest(tmp_path) != first
    (tmp_path / "b").write_bytes(b"2")
    assert (
        digest(tmp_path / "b") == "d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35"
    )


def test_parts_read_as_one_table_in_order(tmp_path: Path) -> None:
    run = opened(tmp_path / "run")
    run.write("part-1", TABLE + 2)
    run.write("part-0", TABLE)
    (tmp_path / "run" / "_figures").mkdir()
    (tmp_path / "run" / "_figures" / "figure.png").write_bytes(b"no parquet")
    assert pd.read_parquet(tmp_path / "run").x.tolist() == [1, 2, 3, 4]
    assert Run.existing(tmp_path / "run").table().x.tolist() == [1, 2, 3, 4]
    assert [table.x.tolist() for table in run.tables()] == [[1, 2], [3, 4]]
    assert run.parts() == {"part-0", "part-1"}


def test_no_flipped_bit_of_a_part_changes_a_number() -> None:
    table = pd.DataFrame({"x": [0.5, 2.0, float("nan")], "name": ["a", "b", "c"]})
    content = packed(table)
    pd.testing.assert_frame_equal(unpacked(content), table)
    unseen = 0
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        try:
            pd.testing.assert_frame_equal(unpacked(bytes(damaged)), table)
            unseen += 1
        except UserError:
            continue
    assert unseen < 100  # in the digest itself, which is then no digest


DAMAGES = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "cut at its end": lambda content: content[:-1],
    "flipped": lambda content: content[:20] + bytes([content[20] ^ 1]) + content[21:],
    "of other columns": lambda content: packed(TABLE.rename(columns={"x": "y"})),
    "text": lambda content: b"x,y\n1,2\n",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_part_is_named_with_the_remedy(damage: str, tmp_path: Path) -> None:
    run = opened(tmp_path)
    run.write("part-0", TABLE)
    run.write("part-1", TABLE)
    path = tmp_path / "part-1.parquet"
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with pytest.raises(
        UserError, match=r"part-1\.parquet .*: delete it, and --resume makes it again"
    ):
        run.table()
    if damage != "of other columns":
        with pytest.raises(UserError, match=r"part-1\.parquet .* damaged"):
            opened(tmp_path, resume=True)


@pytest.mark.parametrize("name", ["part-1.parquet", "_provenance.json"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(name: str, tmp_path: Path) -> None:
    run = opened(tmp_path)
    for part in ("part-0", "part-1"):
        run.write(part, TABLE)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(UserError, match=f"{name} is a pipe, not a file"):
        opened(tmp_path, resume=True)
    with pytest.raises(UserError, match=f"{name} is a pipe, not a file"):
        Run.existing(tmp_path).table()


def test_a_part_that_others_wrote_is_named_where_it_cannot_be_used(tmp_path: Path) -> None:
    run = opened(tmp_path)
    run.write("part-0", TABLE)
    with pytest.raises(KeyError), readable(tmp_path):
        run.table()["y"]
    TABLE.to_parquet(tmp_path / "part-1.parquet")
    with (
        pytest.raises(UserError, match=r"part-1\.parquet is not what this version writes"),
        readable(tmp_path),
    ):
        run.table()["y"]


def test_parts_are_read_as_pandas_reads_them_and_without_threads(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "name": ["a", None, "c"],
            "whole": pd.array([1, None, 3], dtype="Int64"),
            "real": [0.5, float("nan"), float("inf")],
            "sure": [True, False, True],
        }
    )
    run = opened(tmp_path)
    run.write("part-0", table)
    path = tmp_path / "part-0.parquet"
    (stored,) = run.tables()
    pd.testing.assert_frame_equal(stored, pd.read_parquet(path))
    (some,) = run.tables(["real", "name"])
    assert list(some) == ["real", "name"]
    code = f"""
import os, pyarrow.parquet
from pathlib import Path
from sim.runs.store import unpacked
before = len(os.listdir("/proc/self/task"))
unpacked(Path({str(path)!r}).read_bytes())
print(len(os.listdir("/proc/self/task")) - before)
"""
    if Path("/proc/self/task").is_dir():
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        assert done.stdout.split() == [b"0"]


def test_nothing_written_is_no_table(tmp_path: Path) -> None:
    run = opened(tmp_path)
    for read in (run.table, lambda: list(run.tables())):
        with pytest.raises(UserError, match="has no results yet"):
            read()


def test_provenance_says_where_numbers_come_from(tmp_path: Path) -> None:
    record = opened(tmp_path).provenance()
    assert record is not None
    assert record["identity"] == identity(Setting())
    assert record["config"] == json.loads(written(canonical(Setting())))
    assert record["versions"]["numpy"]
    assert {"commit", "machine", "started", "command"} <= record.keys()


def test_provenance_names_the_commits_that_went_on(tmp_path: Path, monkeypatch) -> None:
    first = opened(tmp_path)
    opened(tmp_path, resume=True)
    began = first.provenance() or {}
    assert "resumed" not in began  # by the same commit
    for name in ("later", "later", "last"):
        monkeypatch.setattr("sim.runs.provenance.commit", lambda name=name: name)
        opened(tmp_path, resume=True)
    record = first.provenance() or {}
    assert [entry["commit"] for entry in record["resumed"]] == ["later", "last"]
    assert all({"versions", "command", "started"} <= entry.keys() for entry in record["resumed"])
    assert {key: value for key, value in record.items() if key != "resumed"} == began
    for part in ("part-0", "part-1"):
        first.write(part, TABLE)
    monkeypatch.setattr("sim.runs.provenance.commit", lambda: "reader")
    opened(tmp_path, resume=True)  # finished: nothing goes on
    assert first.provenance() == record


def test_an_unfinished_run_wants_resume(tmp_path: Path) -> None:
    opened(tmp_path).write("part-0", TABLE)
    with pytest.raises(UserError, match=r"unfinished run.*add --resume"):
        opened(tmp_path)
    assert opened(tmp_path, resume=True).parts() == {"part-0"}
    opened(tmp_path, resume=True).write("part-1", TABLE)
    opened(tmp_path)  # finished: there is nothing to lose


def test_what_a_folder_may_not_hold(tmp_path: Path) -> None:
    opened(tmp_path / "run").write("part-0", TABLE)
    with pytest.raises(UserError, match="holds another run"):
        opened(tmp_path / "run", Setting(size=4), resume=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(UserError, match="holds other files"):
        opened(tmp_path / "other", resume=True)
    with pytest.raises(UserError, match="is a file"):
        opened(tmp_path / "other" / "thesis.tex")
    with pytest.raises(UserError, match="Not a directory"):
        opened(tmp_path / "other" / "thesis.tex" / "run")
    with pytest.raises(UserError, match="is not a run folder"):
        Run.existing(tmp_path / "other")
    with pytest.raises(UserError, match="is not a run folder"):
        Run.existing(tmp_path / "nowhere")
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["thesis.tex"]


def test_damaged_provenance_is_no_run(tmp_path: Path) -> None:
    opened(tmp_path)
    for damage in ("", "{", "[]", "3", json.dumps({"config": {}})):
        (tmp_path / "_provenance.json").write_text(damage)
        with pytest.raises(UserError, match="other files"):
            opened(tmp_path, resume=True)


@pytest.mark.parametrize("level", [0.5, float("inf"), float("nan")])
def test_a_changed_configuration_is_refused(tmp_path: Path, level: float) -> None:
    Run.open(tmp_path, {"level": level, "steps": 600}, resume=False, parts=["part-1"])
    assert Run.existing(tmp_path).identity
    path = tmp_path / "_provenance.json"
    path.write_text(path.read_text().replace("600", "60000"))
    with pytest.raises(UserError, match="not as it was written"):
        Run.existing(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_not_writable(tmp_path: Path) -> None:
    tmp_path.chmod(S_IRUSR | S_IXUSR)
    with pytest.raises(UserError, match=r"cannot write to .* Permission denied"):
        opened(tmp_path / "run")


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = opened(tmp_path)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"No space left on device.*free space"):
        run.write("part-0", TABLE)
    assert [path.name for path in tmp_path.iterdir()] == ["_provenance.json"]


def test_leftovers_of_a_kill_are_swept_away(tmp_path: Path) -> None:
    """A temporary that is written right now, perhaps by another client, is not one of them."""
    opened(tmp_path)
    for name, age in {".part-0.parquet.77.tmp": 7200, ".part-1.parquet.78.tmp": 1}.items():
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, times=(time.time() - age,) * 2)
    opened(tmp_path, resume=True)
    assert {path.name for path in tmp_path.iterdir()} == {
        "_provenance.json",
        ".part-1.parquet.78.tmp",
    }


@pytest.fixture
def memory() -> Iterator[str]:
    """The URL of a folder on an object store, which lives in this process."""
    yield "memory://bucket/run"
    fsspec.filesystem("memory").rm("/bucket", recursive=True)


def test_a_run_on_an_object_store(memory: str) -> None:
    run = opened(memory)
    run.write("part-1", TABLE + 2)
    with pytest.raises(UserError, match=r"memory://bucket/run holds an unfinished run"):
        opened(memory)
    with opened(memory, resume=True).held():
        run.write("part-0", TABLE)
    assert run.parts() == {"part-0", "part-1"}
    assert Run.existing(memory).table().x.tolist() == [1, 2, 3, 4]
    assert pd.read_parquet(memory).x.tolist() == [1, 2, 3, 4]
    assert [table.x.tolist() for table in run.tables()] == [[1, 2], [3, 4]]
    assert (Run.existing(memory).provenance() or {})["config"] == json.loads(
        written(canonical(Setting()))
    )
    with pytest.raises(UserError, match="holds another run"):
        opened(memory, Setting(size=4), resume=True)
    with pytest.raises(UserError, match="is not a run folder"):
        Run.existing("memory://bucket/nowhere")


def test_another_client_may_come_first(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between our look at an empty folder and our making it a run; no lock keeps it out there."""

    def come_first(_: RemoteFiles) -> None:
        monkeypatch.undo()
        opened(memory, Setting(size=4))

    monkeypatch.setattr(RemoteFiles, "prepare", come_first)
    with pytest.raises(UserError, match="holds another run"):
        opened(memory)
    assert Run(memory).identity == identity(Setting(size=4))


def test_a_file_url_is_a_local_folder(tmp_path: Path) -> None:
    run = opened(f"file://{tmp_path}/run")
    run.write("part-0", TABLE)
    assert run.folder == tmp_path / "run"
    assert pd.read_parquet(tmp_path / "run").x.tolist() == [1, 2]


def test_what_no_file_system_knows() -> None:
    with pytest.raises(UserError, match=r"cannot use nonsense://run \(Protocol not known"):
        opened("nonsense://run")


def test_errors_of_a_store_end_in_one_line(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = opened(memory)

    def refused(*_: object, **__: object) -> None:
        raise RuntimeError("Unable to\nlocate credentials")

    monkeypatch.setattr(type(run.files.store), "pipe_file", refused)  # type: ignore[union-attr]
    with pytest.raises(UserError, match=r"cannot write to memory://.*Unable to locate credentials"):
        run.write("part-0", TABLE)
    monkeypatch.setattr(type(run.files.store), "cat_file", refused)  # type: ignore[union-attr]
    with pytest.raises(UserError, match=r"cannot read memory://.*Unable to locate credentials"):
        Run.existing(memory)


@pytest.mark.parametrize("links", [True, False])
def test_what_is_created_is_created_once(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:

        def none(*_: object) -> None:
            raise OSError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", none)
    files = opened(tmp_path).files
    files.create("_once", b"first")
    with pytest.raises(FileExistsError):
        files.create("_once", b"second")
    assert files.read("_once") == b"first"
    assert files.names() == {"_once", "_provenance.json"}


def test_one_client_at_a_time(tmp_path: Path) -> None:
    run = opened(tmp_path)
    with run.held():
        with (
            pytest.raises(
                UserError, match=rf"in use by another process \(.*process {os.getpid()}\)"
            ),
            Run(tmp_path).held(),
        ):
            raise AssertionError
        assert (tmp_path / LOCK).exists()  # the refusal took nothing away
    with Run(tmp_path).held():
        assert run.parts() == set()
    assert not (tmp_path / LOCK).exists()


HOLD = """
import sys, time
from sim.runs.store import Run, packed, readable, unpacked
with Run(sys.argv[1]).held():
    print("in", flush=True)
    time.sleep(600)
"""


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    run = opened(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        with pytest.raises(UserError, match=f"process {process.pid}"), run.held():
            raise AssertionError
        process.kill()
    assert (tmp_path / LOCK).exists()
    with opened(tmp_path, resume=True).held():
        pass


@pytest.mark.parametrize("error", [errno.ENOLCK, errno.EIO])
def test_a_file_system_without_locks_is_shared(
    error: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def flock(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(fcntl, "flock", flock)
    run = opened(tmp_path)
    if error == errno.ENOLCK:
        with run.held(), Run(tmp_path).held():
            run.write("part-0", TABLE)
    else:
        with pytest.raises(UserError, match=r"cannot write to .*Input/output error"), run.held():
            raise AssertionError


RACE = """
import sys, time
from pathlib import Path
from sim.runs.errors import UserError
from sim.runs.store import Run, packed, readable, unpacked

CLIENTS = 4
folder, signs, client, name = *map(Path, sys.argv[1:3]), *sys.argv[3:]

def wait(sign, number):
    deadline = time.monotonic() + 600
    while len(list(signs.glob(sign))) < number and time.monotonic() < deadline:
        time.sleep(0.001)

(signs / f"ready-{client}").touch()
wait("ready-*", CLIENTS)
try:
    run = Run.open(folder, {"name": name}, resume=True, parts=["part-0"])
    with run.held():
        run.files.replace("part-0.parquet", name.encode())
        wait("refused-*", CLIENTS - 1)
    print("won")
except UserError as error:
    (signs / f"refused-{client}").touch()
    print(error)
"""


@pytest.mark.parametrize("names", ["aaaa", "abab"])
def test_clients_that_start_together_in_an_empty_folder(names: str, tmp_path: Path) -> None:
    """One makes the run and holds it; the others are refused, and what is written is of one configuration."""
    command = [sys.executable, "-c", RACE, str(tmp_path / "run"), str(tmp_path)]
    processes = [
        subprocess.Popen(
            [*command, str(client), name],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for client, name in enumerate(names)
    ]
    said = [process.communicate(timeout=600)[0].strip() for process in processes]
    assert said.count("won") == 1, said
    for line in said:
        assert line == "won" or "in use by another process" in line or "another run" in line, said
    winner = names[said.index("won")]
    run = Run.existing(tmp_path / "run")
    assert (run.provenance() or {})["config"] == {"name": winner}
    assert run.files.read("part-0.parquet") == winner.encode()
    assert run.files.names() == {"_provenance.json", "part-0.parquet"}


def test_paths_of_this_machine_stay_out_of_provenance(monkeypatch) -> None:
    command = [
        "/here/sweep.py",
        "--images",
        "/data/a.npz",
        "--out=/runs/b",
        "en=/text/c",
        "d/e",
        "--T",
        "4",
    ]
    monkeypatch.setattr("sys.argv", command)
    monkeypatch.setattr("__main__.__spec__", None)
    named = ["--images", "a.npz", "--out=b", "en=c", "d/e", "--T", "4"]
    assert provenance({})["command"] == ["python", "sweep.py", *named]
    monkeypatch.setattr("__main__.__spec__", ModuleSpec("neural.imbalance.__main__", None))
    assert provenance({})["command"] == ["python", "-m", "neural.imbalance", *named]


def test_an_installed_package_records_its_version_in_place_of_a_commit(
    tmp_path: Path, monkeypatch
) -> None:
    """Also where a checkout of other code, as of a user's project with its environment, is around."""
    from importlib.metadata import version

    from sim.runs import provenance as module

    place = tmp_path / "lib" / "provenance.py"
    place.parent.mkdir()
    place.write_text("")
    monkeypatch.setattr(module, "__file__", str(place))
    said = f"version {version('cognitive-reserve')}"
    assert module.commit() == said
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    commit = ["git", "-C", str(tmp_path), *who, "commit", "-q", "--allow-empty", "-m", "other"]
    subprocess.run(commit, check=True)
    assert module.commit() == said
    monkeypatch.setattr(module, "versions", dict)
    assert module.commit() == "unknown"
    monkeypatch.undo()
    assert len(module.commit().rstrip("+")) == 40
