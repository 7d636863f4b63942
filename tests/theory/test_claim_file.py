"""A claim file is somebody's code: whatever it does, it ends in its verdict or in a line, and leaves nothing behind."""

import contextlib
import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import theory.statements
from tests.places import ROOT, SHARED
from theory import __main__ as cli
from theory.claim_file import ask as asking
from theory.claim_file import load
from theory.claim_file.ask import Answer, ask
from theory.claim_file.errors import Unfit
from theory.claim_file.limits import Limits
from theory.statement import Statement

BADCLAIMS = SHARED / "cases" / "badclaims"
BRIEF = Limits(cpu_seconds=2)
FEW = 300
"""Instances of a search."""

HEAD = """\
import os, signal, sys, time
import numpy as np
from theory import Statement
from theory.spectra import slope

"""
LONG = f"86399.{os.getpid()}"
"""Seconds of a sleep, which no other process asks for."""
TRUE = "slope(C, k), (C**2).sum()"
STATEMENT = "STATEMENT = Statement(id='mine', claim='c', sides=sides)\n"
WITH = "STATEMENT = Statement(id='mine', claim='c', hypotheses=[given], sides=sides)\n"


def sides(body: str = "", returns: str = TRUE) -> str:
    """A function of the name `sides`, on line 6 of a file that begins with HEAD."""
    return f"def sides(C, k):\n    {body or 'pass'}\n    return {returns}\n"


def hypothesis(body: str) -> str:
    return sides() + f"def given(C, k):\n    {body}\n" + WITH


REFUSED = {
    # what ends the process
    "leaves": (sides("os._exit(0)") + STATEMENT, r": its code ends the process \(exit status 0\)"),
    "leaves-at-import": ("os._exit(0)\n" + STATEMENT, r": its code ends the process"),
    "exits": (sides("sys.exit(0)") + STATEMENT, r":7: SystemExit: 0: let it return$"),
    "exits-at-import": ("sys.exit(0)\n", r":6: SystemExit: 0"),
    "exits-in-hypothesis": (hypothesis("sys.exit(0)"), r":10: SystemExit: 0"),
    "crashes": (
        "import ctypes\n" + sides("ctypes.string_at(0)") + STATEMENT,
        r": its code crashes the interpreter \(SIGSEGV\)",
    ),
    "kills-its-parent": (
        sides("os.kill(os.getppid(), signal.SIGKILL); time.sleep(60)") + STATEMENT,
        r": its code ends the process that watches it",
    ),
    "stops": (sides("os.kill(os.getpid(), signal.SIGSTOP)") + STATEMENT, r": .*\(SIGSTOP\)"),
    "alarm": (sides("signal.alarm(1); time.sleep(60)") + STATEMENT, r": .*\(SIGALRM\)"),
    "forks": (sides("os.fork()") + STATEMENT, r": its code forks"),
    "closes": (
        "os.closerange(3, 256)\n" + sides() + STATEMENT,
        r": its code closes files that it has",
    ),
    # what never ends, or wants too much
    "loops": (
        sides("while True: pass") + STATEMENT,
        r":7: at the limit of 2 s of processor time \(--cpu-seconds\) before the claim was evalu",
    ),
    "loops-in-hypothesis": (hypothesis("while True: pass"), r":10: at the limit of 2 s"),
    "loops-at-import": ("while True: pass\n", r":6: at the limit of 2 s"),
    "loops-in-c": (sides("sum(range(10**14))") + STATEMENT, r": at the limit of 2 s"),
    "loops-on": (
        sides("while True:\n        try: time.sleep(0)\n        except BaseException: pass")
        + STATEMENT,
        r": at the limit of 2 s",
    ),
    "memory": (sides("np.ones((40000, 40000))") + STATEMENT, r":7: .*MemoryError.*2 GiB"),
    "recursion": (sides("sides(C, k)") + STATEMENT, r":7: .*RecursionError"),
    # what is no function of an instance
    "writes": (sides("C *= 2") + STATEMENT, r":7: .*read-only.*: work on a copy, C = C\.copy\(\)"),
    "writes-in-hypothesis": (
        hypothesis("C[0, 0] = 1; return True"),
        r":10: .*read-only.*: work on",
    ),
    "random": (sides("", "np.random.rand(), 0.9") + STATEMENT, r":6: sides answers 0\.\d+, then 0"),
    "random-hypothesis": (
        hypothesis("return bool(np.random.rand() < 0.5)"),
        r":9: hypothesis given answers",
    ),
    "random-at-import": (
        "A = np.random.default_rng().random()\n" + sides("", "A * slope(C, k), 1e9") + STATEMENT,
        r":7: sides answers .* not on chance or on earlier calls",
    ),
    "counts": (
        "n = 0\n" + sides("global n; n += 1", "slope(C, k), (C**2).sum() * (n < 60)") + STATEMENT,
        r":7: sides answers",
    ),
    "remembers": (
        "seen = {}\n" + sides("", "seen.setdefault(C.shape, slope(C, k)), 1e9") + STATEMENT,
        r":7: sides answers",
    ),
    "changes-the-checker": (
        "Statement.slack = lambda *_: 1.0\n" + sides() + STATEMENT,
        r": it changes theory\.statement\.Statement\.slack",
    ),
    "changes-a-number": (
        "import theory.statement\ntheory.statement.ROUNDING = 1.0\n" + sides() + STATEMENT,
        r": it changes theory\.statement\.ROUNDING",
    ),
    "changes-it-later": (
        sides("import theory.evidence.witness as w; w.confirm = None") + STATEMENT,
        r": it changes theory\.evidence\.witness\.confirm",
    ),
    "breaks-the-checker": (
        sides("import theory.statement as s; s._real = None") + STATEMENT,
        r": it changes theory\.statement\._real",
    ),
    "subclass": (
        "class Mine(Statement):\n    def slack(self, *_): return 1.0\n"
        + sides()
        + STATEMENT.replace("Statement", "Mine"),
        r": STATEMENT is a Mine, not a Statement",
    ),
    # what sides and hypotheses return
    "nothing": (sides("", "None") + STATEMENT, r":6: sides returns a NoneType: return \(lhs, rhs"),
    "none": (sides("", "None, 1.0") + STATEMENT, r":6: .*a side of the claim is a NoneType"),
    "three": (sides("", "0.0, 1.0, 2.0") + STATEMENT, r":6: sides returns a tuple of 3"),
    "strings": (sides("", "'0', '1'") + STATEMENT, r":6: .*a side of the claim is a str"),
    "bools": (
        sides("", "slope(C, k) < 1, True") + STATEMENT,
        r":6: .*a side of the claim is a bool",
    ),
    "arrays": (sides("", "C, C") + STATEMENT, r":6: .*an array of shape"),
    "nan": (sides("", "np.log(-1 - slope(C, k)), 1.0") + STATEMENT, r":6: .*NaN"),
    "infinite": (sides("", "np.inf, np.inf") + STATEMENT, r":6: .*infinite at every instance"),
    "infinite-right": (sides("", "1.0, np.inf") + STATEMENT, r":6: .*infinite at every instance"),
    "infinite-once": (
        sides("", "np.inf if C.shape[1] == 3 else 0.0, 1.0") + STATEMENT,
        r":6: a side of the claim is infinite at .*: return two real numbers",
    ),
    "hypothesis-of-none": (hypothesis("pass"), r":9: hypothesis given returns NoneType"),
    "hypothesis-of-array": (hypothesis("return C > 0"), r":9: hypothesis given returns ndarray"),
    "hypothesis-raises": (hypothesis("raise KeyError('a\\nb')"), r":10: .*raises KeyError"),
    "reads": (sides("input()") + STATEMENT, r":7: .*EOFError: .*a claim has no input"),
    # what is no file of one claim
    "empty": (None, r": it has no STATEMENT: end it with"),
    "lower": (
        sides() + STATEMENT.lower().replace("statement(", "Statement("),
        r":9: its Statement is called statement: call it",
    ),
    "second": (
        sides() + STATEMENT + STATEMENT.replace("mine", "other").replace("STATEMENT", "TWO"),
        r":10: a second Statement, TWO: a file holds one claim",
    ),
    "rebound": (
        sides() + STATEMENT + STATEMENT.replace("mine", "other"),
        r":9: a second Statement, 'mine'",
    ),
    "message": ("raise ValueError('a\\n' * 100_000)\n", r":6: a a a"),
    "silent-error": (
        "class Mute(Exception):\n    def __str__(self): raise self\nraise Mute\n",
        r":8: Mute: its message cannot be shown",
    ),
}
HONEST = {
    "prints": (
        "import logging, subprocess, warnings\nsys.stdin.read()\n"
        + sides(
            "print('p'); os.write(1, b'w'); logging.warning('l'); warnings.warn('w')\n"
            "    C.size == 1 and subprocess.run(['echo', 's'])"
        )
        + STATEMENT
    ),
    "deletes-itself": "os.remove(__file__)\n" + sides() + STATEMENT,
    "infinite-right-once": sides("", "slope(C, k), np.inf if C.shape[1] == 3 else (C**2).sum()")
    + STATEMENT,
    "two-lambdas": (
        sides()
        + "both = [lambda C, k: True, lambda C, k: C.shape[1] > 1]\n"
        + WITH.replace("[given]", "both")
    ),
    "strict": (
        "import warnings\nwarnings.simplefilter('error')\nnp.seterr(all='raise')\n"
        + sides()
        + STATEMENT
    ),
    "leaves-processes": (
        "import subprocess, threading\n"
        f"subprocess.Popen(['sleep', '{LONG}'], start_new_session=True)\n"
        "threading.Thread(target=time.sleep, args=(86400,)).start()\n" + sides() + STATEMENT
    ),
}
STOPPED = {
    # after some instances, by a limit
    "waits-later": ("time.sleep(600)", Limits(wall_seconds=20), "20 s of wall clock"),
    "loops-later": ("while True: pass", BRIEF, "2 s of processor time (--cpu-seconds)"),
    "memory-later": ("np.ones((40000, 40000))", BRIEF, "2 GiB of memory"),
}
QUICK = {
    *(
        "leaves",
        "exits",
        "crashes",
        "kills-its-parent",
        "forks",
        "loops",
        "memory",
        "writes",
        "random",
    ),
    *(
        "remembers",
        "changes-the-checker",
        "none",
        "bools",
        "infinite",
        "hypothesis-of-none",
        "second",
    ),
    *("prints", "two-lambdas", "leaves-processes"),
}
"""Half a second each; so does every other, and some wait for a limit."""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory, request):
    """What came of each file: its Answer, or the line that refuses it. All that are tested run side by side."""
    folder = tmp_path_factory.mktemp("claims")
    files = {
        name: HEAD + sides(f"if C.shape == (2, 2):\n        {body}") + STATEMENT
        for name, (body, *_) in STOPPED.items()
    }
    files |= {name: text and HEAD + text for name, (text, _) in REFUSED.items()}
    files |= {name: HEAD + text for name, text in HONEST.items()}
    limits = dict.fromkeys(REFUSED, BRIEF) | {name: its for name, (_, its, _) in STOPPED.items()}
    tested = [getattr(item, "callspec", None) for item in request.session.items]
    wanted = {spec.params.get("name") for spec in tested if spec is not None}

    def outcome(name: str) -> Answer | str:
        path = folder / f"{name}.py"
        path.write_text(files[name] or "")
        try:
            return ask(str(path), "quick", limits.get(name, Limits()), FEW)
        except ValueError as error:
            return str(error)

    with ThreadPoolExecutor(4) as pool:
        names = [name for name in files if name in wanted]
        yield dict(zip(names, pool.map(outcome, names), strict=True))


def cases(table):
    return [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in table]


@pytest.mark.parametrize("name", cases(REFUSED))
def test_a_file_that_is_no_claim_is_refused_in_a_line(name: str, outcomes) -> None:
    line = outcomes[name]
    assert isinstance(line, str), line
    assert line.count("\n") == 0
    assert len(line) < 1000
    assert re.search(re.escape(f"{name}.py") + REFUSED[name][1], line), line


@pytest.mark.parametrize("name", cases(HONEST))
def test_an_honest_claim_keeps_its_verdict(name: str, outcomes) -> None:
    answer = outcomes[name]
    assert isinstance(answer, Answer), answer
    assert answer.expected
    assert answer.summary.startswith("mine  ")
    assert answer.report["verdict"]["grade"] == "Supported"
    assert not running(LONG), "a process that the file started outlives its check"


def running(argument: str) -> list[int]:
    """The processes that have such an argument."""
    processes = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if argument.encode() in path.read_bytes().split(b"\0"):
                processes.append(int(path.parent.name))
    return processes


@pytest.mark.parametrize("name", STOPPED)
def test_a_limit_after_some_instances_is_inconclusive(name: str, outcomes) -> None:
    answer = outcomes[name]
    assert isinstance(answer, Answer), answer
    stopped = re.fullmatch(
        r"mine  Inconclusive: stopped after (\d+) of (\d+) instances, at the limit of "
        + re.escape(STOPPED[name][-1]),
        answer.summary,
    )
    assert stopped, answer.summary
    assert 0 < int(stopped[1]) < FEW == int(stopped[2])
    assert not answer.expected
    assert answer.report["verdict"]["grade"] == "Inconclusive"
    assert answer.report["id"] == "mine"
    assert answer.report["claim"] == "c"


def command(*arguments: str, **options) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "theory", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def started(path: Path, process: subprocess.Popen[str]) -> int:
    """The process that runs the file's code, which writes its number there."""
    while process.poll() is None:
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int(path.read_text())
        time.sleep(0.02)
    raise AssertionError(process.communicate())


def ends(pid: int) -> bool:
    """Whether the process ends within some ten minutes."""
    for _ in range(30_000):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize(
    ("number", "code", "says"),
    [
        (signal.SIGINT, 130, "theory: interrupted\n"),
        (signal.SIGTERM, 143, "theory: interrupted\n"),
        (signal.SIGKILL, -9, ""),
    ],
)
def test_the_file_s_code_ends_with_the_command(tmp_path: Path, number, code, says) -> None:
    path, pid = tmp_path / "claim.py", tmp_path / "pid"
    path.write_text(
        HEAD + f"open({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(500)\n" + sides()
    )
    process = command("check", str(path), env={**os.environ, "TMPDIR": str(tmp_path)})
    worker = started(pid, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=600)
    assert (process.returncode, out, err) == (code, "", says)
    assert ends(worker)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["claim.py", "pid"]


def test_an_interrupted_call_leaves_nothing_running(tmp_path: Path) -> None:
    path = tmp_path / "claim.py"
    path.write_text(
        HEAD + f"import subprocess\nsubprocess.Popen(['sleep', '{LONG}'], start_new_session=True)\n"
        f"os.kill({os.getpid()}, signal.SIGUSR1)\ntime.sleep(500)\n"
    )

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            ask(str(path), "quick", BRIEF)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert not running(LONG)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line searches at few instances."""
    monkeypatch.setattr(asking, "ask", functools.partial(ask, instances=FEW))


def reported(error: str) -> list[str]:
    """What stands on standard error, but for a line a minute of a machine that has no time."""
    return [line for line in error.splitlines() if "statements, " not in line]


def test_files_and_statements_in_one_call(tmp_path: Path, capsys, few, monkeypatch) -> None:
    wrong = Statement(
        "held-false", "c", lambda C, k: (1.0, 0.0), as_refuted={"C": np.eye(1), "k": 1}
    )
    monkeypatch.setattr(theory.statements, "statements", lambda: {"held-false": wrong})
    good, bad, false = (tmp_path / f"{name}.py" for name in ("good", "bad", "false"))
    good.write_text(HEAD + HONEST["prints"])
    bad.write_text("1 / 0\n")
    false.write_text(HEAD + sides("", "2 * slope(C, k), slope(C, k)") + STATEMENT)
    out = tmp_path / "out.json"
    names = ["held-false", str(good), str(false)]
    assert cli.main(["check", *names, "--profile", "quick", "--json", str(out)]) == 1
    printed, error = capsys.readouterr()
    assert reported(error) == []
    assert [line.split("  ")[0] for line in printed.splitlines() if line[0] != " "] == [
        "held-false",
        "mine",
        "mine",
    ]
    reports = json.loads(out.read_text())["reports"]
    assert [report["id"] for report in reports] == ["held-false", "mine", "mine"]
    assert [report["expected"] for report in reports] == [True, True, False]
    out.unlink()
    assert cli.main(["check", str(bad), str(good), "--profile", "quick", "--json", str(out)]) == 2
    printed, error = capsys.readouterr()
    assert reported(error) == [f"theory: {bad}:1: ZeroDivisionError: division by zero"]
    assert printed.startswith("mine  ")
    assert not out.exists()


def test_explain_reads_a_file_the_same_way(tmp_path: Path, capsys, few) -> None:
    path = tmp_path / "claim.py"
    path.write_text(HEAD + HONEST["prints"])
    assert cli.main(["explain", str(path)]) == 0
    printed, error = capsys.readouterr()
    assert error == ""
    assert printed.startswith("mine\n\nSetting     C (d, T) real")
    assert "\nVerdict     mine  " in printed
    path.write_text(HEAD + sides("os._exit(0)") + STATEMENT)
    assert cli.main(["explain", str(path)]) == 2
    printed, error = capsys.readouterr()
    assert printed == ""
    assert error.startswith(f"theory: {path}: its code ends the process")
    assert error.count("\n") == 1


def test_what_is_no_file_is_refused_without_a_process(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(asking, "_run", lambda *_: pytest.fail("it starts a process"))
    fifo, large, folder = tmp_path / "fifo.py", tmp_path / "large.py", tmp_path / "folder.py"
    os.mkfifo(fifo)
    folder.mkdir()
    large.write_text("#" * (asking.LARGEST + 1))
    for path, says in (
        (fifo, "is no regular file: name"),
        (folder, "is a folder: name"),
        (large, "has 1,048,577 bytes: a claim file has at most 1,048,576"),
        (tmp_path / "absent.py", ": there is no such file"),
        (tmp_path / "a\0b.py", "embedded null byte: name"),
        (large / "x.py", "Not a directory: name"),
        (tmp_path / ("x" * 300 + ".py"), "File name too long: name"),
    ):
        with pytest.raises(ValueError, match=re.escape(says)):
            ask(str(path), "quick", BRIEF)


@pytest.mark.parametrize("content", [b"# caf\xe9\n", "x = 1\n".encode("utf-16"), b"\0\n"])
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "claim.py"
    path.write_bytes(content)
    with pytest.raises(Unfit, match="save it as UTF-8"):
        load.read(str(path))


@pytest.mark.parametrize("seconds", ["0", "-1", "86401"])
def test_a_limit_out_of_range_is_refused(tmp_path: Path, capsys, seconds: str) -> None:
    assert cli.main(["check", str(tmp_path / "claim.py"), "--cpu-seconds", seconds]) == 2
    assert capsys.readouterr().err == f"theory: --cpu-seconds {seconds}: give 1 to 86400\n"


@pytest.mark.parametrize(
    "line",
    [
        "no JSON",
        '{"kind": "report"}',
        '{"nonce": "guessed", "kind": "report"}',
        '["nonce"]',
        "[" * 100_000,
    ],
)
def test_what_the_file_writes_into_the_pipe_is_no_report(line: str) -> None:
    ended = {"sent": line + "\n", "nonce": "drawn"}
    with pytest.raises(ValueError, match=r"^claim\.py: its code writes to files that it has not"):
        asking._messages(ended, "claim.py")


SHARED = {
    "b01_syntax": r":4: invalid syntax",
    "b03_loop": r":5: at the limit of 2 s of processor time",
    "b04_mutates": r":5: .*read-only",
    "b06b_one_none": r":4: .*NoneType",
    "b09c_triple": r":4: sides returns a tuple of 3",
    "b11_misspelt": r":4: unknown hypothesis 'unit_task': did you mean 'unit_tasks'\?",
    "b14_two": r":5: a second Statement, STATEMENT2",
    "b15b_exit_sides": r":5: SystemExit: 0",
    "b16_prints": None,
    "b18_memory": r":5: .*MemoryError",
    "b19_relation": r":4: .*relation is '>=': use '<=' or '=='",
    "b20_random": r":4: sides answers",
    "b22_warns": r":4: .*NaN",
    "b25_recursion": r":4: .*RecursionError",
    "b27_wrong_type_id": r":4: .*missing 1 required positional argument: 'id'",
}


@pytest.fixture(scope="module")
def shared_outcomes():
    if not BADCLAIMS.is_dir():
        pytest.skip("the cases lie in ../shared, which is not here")

    def outcome(path: Path) -> tuple[str, str]:
        try:
            limits = Limits() if SHARED[path.stem] is None else BRIEF
            return path.stem, ask(str(path), "quick", limits, FEW).summary
        except ValueError as error:
            return path.stem, str(error)

    with ThreadPoolExecutor(4) as pool:
        return dict(pool.map(outcome, sorted(BADCLAIMS.glob("*.py"))))


@pytest.mark.slow
def test_every_bad_claim_is_known(shared_outcomes) -> None:
    assert set(shared_outcomes) == set(SHARED)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHARED)
def test_a_shared_bad_claim(name: str, shared_outcomes) -> None:
    line = shared_outcomes[name]
    assert "\n" not in line
    if SHARED[name] is None:
        assert line.startswith("x  Supported(sampled) n=")
    else:
        assert re.search(re.escape(f"{name}.py") + SHARED[name], line), line
