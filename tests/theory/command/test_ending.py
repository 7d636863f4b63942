"""Signals end a command in one line, whatever it is at; what is half-written and what it started go with it."""

import ast
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.places import ROOT
from theory.command import ending
from theory.command.ending import grace, interrupted, temporary

HANGS = 600

BODIES = {
    "in C": "ready(); time.sleep(3600)",
    "deaf": """
ready()
while True:
    try:
        time.sleep(3600)
    except BaseException:
        pass
""",
    "computing": "ready()\nwhile True: pass",
    "with something printed": "print('before'); ready(); time.sleep(3600)",
    "half-written": """
with temporary(Path('half')) as half:
    half.mkdir()
    (half / 'file').write_text('half')
    with temporary(Path('file.tmp')) as file:
        file.write_text('half')
        ready()
        time.sleep(3600)
""",
    # Whoever reads what they print sees its end only when both are gone.
    "with a child": "subprocess.Popen(['sleep', '3600']); ready(); time.sleep(3600)",
    "starting a child": """
start, children = subprocess.Popen, ending._children
def slow_children():
    found = children()
    time.sleep(0.6)
    return found
ending._children = slow_children
def slowly(*arguments, **options):
    ready()
    time.sleep(0.3)
    return start(*arguments, **options)
subprocess.Popen = slowly
ending.start(['sh', '-c', 'echo $$ > pid; exec sleep 3600']).communicate()
""",
    "saving": """
can_resume()
try:
    with grace() as stop:
        asked = stop()
        ready()
        while not stop():
            time.sleep(0.01)
        Path('saved').write_text('all of it')
        raise KeyboardInterrupt
except KeyboardInterrupt:
    sys.exit(interrupted('command'))
""",
    "too slow to save": """
ending.GRACE = 0.1
can_resume()
with grace() as stop:
    asked = stop()
    ready()
    time.sleep(3600)
""",
    "never asking": """
ending.GRACE = 3600
can_resume()
with grace():
    ready()
    time.sleep(3600)
""",
    "becoming another": """
if 'again' in os.environ:
    time.sleep(3600)
os.environ['again'] = 'yes'
hand_over()
ready()
while not signal.sigpending():
    time.sleep(0.01)
os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
""",
}
"""What a command is at when the signal comes, by name."""

RESUMABLE = {"saving", "too slow to save", "never asking"}

HEAD = """
import os, signal, subprocess, sys, time
from pathlib import Path
from theory.command import ending
from theory.command.ending import can_resume, grace, hand_over, interrupted, temporary

def ready():
    Path('ready').touch()
"""


def ended(folder: Path, body: str, number: int) -> tuple[int, str, str]:
    """The exit code of a command in a folder that got the signal when it was ready, and what it printed."""
    package = folder / "command"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "from theory.command.beginning import begin\n\nbegin()\nbegin()\n"
    )
    (package / "__main__.py").write_text(HEAD + body)
    process = subprocess.Popen(
        [sys.executable, "-m", "command"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (folder / "ready").exists() and process.poll() is None:
        signal.sigtimedwait([], 0.01)
    process.send_signal(number)
    out, error = process.communicate(timeout=HANGS)
    return process.returncode, out, error


def await_end(pid: str) -> None:
    """Wait for a process that nobody waits for: its name stays until its new parent has noticed."""
    for _ in range(100 * HANGS):
        if not pid or "sleep" not in commands().get(pid, ""):
            return
        signal.sigtimedwait([], 0.01)
    raise AssertionError(f"process {pid} outlives the command that started it")


def commands() -> dict[str, str]:
    """Command lines of all processes."""
    by_pid = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            by_pid[path.parent.name] = path.read_text()
    return by_pid


@pytest.fixture(scope="module")
def answers(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[tuple[str, int], tuple[int, str, str]]:
    """Of every body and signal, all at once: they mostly wait."""
    asked = [(name, number) for name in BODIES for number in ending.SIGNALS]
    folders = {key: tmp_path_factory.mktemp("command") for key in asked}
    with ThreadPoolExecutor(4) as pool:
        futures = {key: pool.submit(ended, folders[key], BODIES[key[0]], key[1]) for key in asked}
        by_case = {key: future.result() for key, future in futures.items()}
    for (name, _), folder in folders.items():
        if (folder / "pid").exists():
            await_end((folder / "pid").read_text().strip())
            (folder / "pid").unlink()
        left = {path.name for path in folder.iterdir()} - {"command", "ready"}
        assert left == ({"saved"} if name == "saving" else set()), name
    return by_case


@pytest.mark.parametrize("number", ending.SIGNALS)
@pytest.mark.parametrize("name", BODIES)
def test_a_signal_ends_a_command_in_one_line(name, number, answers) -> None:
    code, out, error = answers[name, number]
    again = "; the same command with --resume goes on" if name in RESUMABLE else ""
    assert error == f"command: interrupted{again}\n"
    assert code == 128 + number
    assert out == ("before\n" if name == "with something printed" else "")


def test_a_library_leaves_signals_alone() -> None:
    script = (
        "import signal\nbefore = [signal.getsignal(n) for n in (2, 15)]\n"
        "import theory, sim, neural, figures\n"
        "assert before == [signal.getsignal(n) for n in (2, 15)]\n"
        "assert signal.set_wakeup_fd(-1) == -1\n"
        "assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=HANGS
    )
    assert done.returncode == 0, done.stderr


def test_every_package_begins_a_command() -> None:
    for package in ("theory", "sim", "neural", "figures"):
        _docstring, *statements = ast.parse((ROOT / package / "__init__.py").read_text()).body
        code = [ast.unparse(statement) for statement in statements[:2]]
        assert code == ["from theory.command.beginning import begin", "begin()"]


def test_outside_a_command_signals_ask_to_stop_and_a_second_one_insists() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with grace() as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before


def test_outside_a_command_the_closing_line_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert interrupted("neural.train") == 130
    assert capsys.readouterr().err.startswith("neural.train: interrupted")


def test_a_temporary_is_gone_unless_renamed(tmp_path: Path) -> None:
    with temporary(tmp_path / "kept.tmp") as path:
        path.write_text("whole")
        path.replace(tmp_path / "kept")
    with temporary(tmp_path / "folder.tmp") as path:
        path.mkdir()
        (path / "file").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
