"""Files of the user's that Python runs in place of ours are named."""

import os
import subprocess
import sys
from pathlib import Path

from tests.places import ROOT
from theory.command.beginning import shadows

HANGS = 600


def complaint(folder: Path, *options: str) -> str:
    """What `python -m theory` says on stderr in a folder."""
    done = subprocess.run(
        [sys.executable, *options, "-m", "theory", "--help"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout.startswith("usage: ")
    return done.stderr


def test_a_command_names_what_is_run_in_place_of_ours(tmp_path: Path) -> None:
    (tmp_path / "figures.py").touch()
    (tmp_path / "neural").mkdir()  # without __init__.py: ours comes first
    said = complaint(tmp_path)
    assert said.startswith("figures.py in this folder is run in place of ours: ")
    assert said.count("\n") == 1
    assert complaint(tmp_path, "-P") == ""
    assert complaint(ROOT) == ""


def test_packages_shadow_and_folders_do_not(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "sim").mkdir()
    monkeypatch.chdir(tmp_path)
    assert shadows() == []
    (tmp_path / "sim" / "__init__.py").touch()
    (tmp_path / "theory.py").touch()
    assert shadows() == ["theory.py", "sim/__init__.py"]
