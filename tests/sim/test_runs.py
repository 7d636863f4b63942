"""A run's folder: what names it, what it refuses, and what survives."""

import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest

from sim.runs.errors import UserError
from sim.runs.identity import canonical, digest, identity
from sim.runs.store import Run


@dataclass(frozen=True)
class Setting:
    size: int = 3
    rates: tuple[float, ...] = (0.1, float("inf"))
    path: str = field(default="", metadata={"identity": False})


TABLE = pd.DataFrame({"x": [1.0, 2.0]})


def opened(folder: Path, setting: Setting = Setting(), *, resume: bool = False) -> Run:
    return Run.open(folder, setting, resume=resume, parts=["part-0", "part-1"])


def test_identity_is_of_content() -> None:
    assert identity(Setting()) == identity(Setting(path="elsewhere"))
    assert identity(Setting()) != identity(Setting(size=4))
    assert identity(("a", 1)) == identity(["a", 1])
    assert identity(Setting()) == "caf471cc4d9f557a"  # as on every machine and in every version


def test_only_plain_values_have_an_identity() -> None:
    with pytest.raises(TypeError, match="object has no canonical form"):
        canonical({"x": object()})


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
    assert run.parts() == {"part-0", "part-1"}


def test_provenance_says_where_numbers_come_from(tmp_path: Path) -> None:
    record = opened(tmp_path).provenance()
    assert record is not None
    assert record["identity"] == identity(Setting())
    assert record["config"] == canonical(Setting())
    assert record["versions"]["numpy"]
    assert {"commit", "machine", "started", "command"} <= record.keys()


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


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_not_writable(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
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
    opened(tmp_path)
    (tmp_path / ".part-0.parquet.77.tmp").write_bytes(b"half")
    opened(tmp_path, resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["_provenance.json"]
