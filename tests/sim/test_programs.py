"""Compiled programs of one process serve the next, and never wrongly."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from sim import programs
from sim.programs import DIGEST, NONE, REFUSALS, VARIABLE, Entries
from tests.places import ROOT

COMPUTE = """
import sys
from sim.programs import keep
keep(sys.argv[1] == "keep")
import jax, jax.numpy as jnp, numpy as np
hits = []
jax.monitoring.register_event_listener(lambda event, **_: event.endswith("/cache_hits") and hits.append(event))
x = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
print(np.asarray(jax.jit(lambda x: jnp.sin(x) @ jnp.cos(x).T)(x)).tobytes().hex())
print(np.asarray(jax.jit(lambda x: jnp.sort(jnp.exp(x) / x.sum()))(x[1])).tobytes().hex())
print("hits", len(hits))
"""
# Each time in a fork of this process, which has imported JAX and asked it for nothing.
FORKS = """
import json, os, sys, warnings
import jax.numpy
from sim.programs import VARIABLE
warnings.filterwarnings("ignore", "os.fork")
for line in sys.stdin:
    program, folder, wanted, answer = json.loads(line)
    child = os.fork()
    if not child:
        for number, name in ((1, "printed"), (2, "said")):
            os.dup2(os.open(f"{answer}.{name}", os.O_CREAT | os.O_WRONLY), number)
        os.environ[VARIABLE] = folder
        sys.argv[1:] = [wanted]
        try:
            exec(program, {})
            sys.stdout.flush()
        except BaseException:
            os._exit(1)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
PROGRAMS = 2


Answer = tuple[list[str], int, str]
"""The numbers of a process, how many programs it loaded, and what it says."""


def environment(**changes: str) -> dict[str, str]:
    given = {name: value for name, value in os.environ.items() if "COMPILATION_CACHE" not in name}
    return given | {"PYTHONPATH": str(ROOT)} | changes


def read(printed: str, said: str) -> Answer:
    *numbers, hits = printed.splitlines()
    return numbers, int(hits.removeprefix("hits ")), said


def compute(folder: Path, wanted: str = "keep", **changes: str) -> Answer:
    """Of a new process."""
    done = subprocess.run(
        [sys.executable, "-c", COMPUTE, wanted],
        env=environment(**{VARIABLE: str(folder)} | changes),
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    return read(done.stdout, done.stderr)


@pytest.fixture(scope="module")
def fork(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Answer]]:
    """The same of a fork, which has JAX imported already: what it imports is not in question."""
    answers = tmp_path_factory.mktemp("answers")
    numbers = count()
    command = [sys.executable, "-c", FORKS]
    with subprocess.Popen(
        command,
        env=environment(OPENBLAS_NUM_THREADS="1"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout

        def compute(folder: Path, wanted: str = "keep") -> Answer:
            answer = answers / str(next(numbers))
            asked = [COMPUTE, str(folder), wanted, str(answer)]
            print(json.dumps(asked), file=process.stdin, flush=True)
            code = process.stdout.readline()
            printed, said = (
                answer.with_suffix(suffix).read_text() for suffix in (".printed", ".said")
            )
            assert code == "0\n", said
            return read(printed, said)

        yield compute


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A folder that a process filled, and its numbers."""
    folder = tmp_path_factory.mktemp("programs") / "of this test"
    numbers, hits, said = compute(folder)
    assert (hits, said) == (0, "")
    assert len(files(folder)) == PROGRAMS
    return folder, numbers


def test_a_second_process_loads_every_program(kept) -> None:
    folder, numbers = kept
    assert compute(folder) == (numbers, PROGRAMS, "")


def flipped(content: bytes) -> bytes:
    at = random.Random(3).randrange(DIGEST, len(content))
    return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [lambda content: content[:-7], flipped, lambda content: b"", lambda content: b"x" * 99],
)
def test_a_damaged_program_is_compiled_anew(kept, fork, tmp_path: Path, damage) -> None:
    folder, numbers = kept
    for path in files(folder):
        copy = tmp_path / path.relative_to(folder)
        copy.parent.mkdir(mode=0o700, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    first = files(tmp_path)[0]
    first.write_bytes(damage(first.read_bytes()))
    assert fork(tmp_path) == (numbers, PROGRAMS - 1, "")
    assert fork(tmp_path) == (numbers, PROGRAMS, "")


def test_a_program_in_another_s_place_is_not_loaded(kept, tmp_path: Path) -> None:
    program, other = (path.read_bytes() for path in files(kept[0]))
    entries = Entries(tmp_path)
    entries.put("one", program)
    entries.put("other", other)
    first, second = files(tmp_path)
    first.replace(second)
    assert {entries.get("one"), entries.get("other")} == {None}
    assert not files(tmp_path)


def test_programs_of_another_machine_or_version_are_not_loaded(kept, monkeypatch) -> None:
    folder, numbers = kept
    again, hits, _ = compute(folder, XLA_FLAGS="--xla_cpu_enable_fast_min_max=false")
    assert (hits, len(again)) == (0, len(numbers))
    here = programs.machine()
    for name, value in {
        "_processor": lambda: ["flags: sse2"],
        "version": lambda name: "0.0.1",
    }.items():
        with monkeypatch.context() as patched:
            patched.setattr(programs, name, value)
            programs.machine.cache_clear()
            assert programs.machine() != here
    programs.machine.cache_clear()
    assert programs.machine() == here


def test_processes_at_once_share_a_folder(kept, fork, tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: compute(tmp_path), range(3)))
    assert all((numbers, said) == (kept[1], "") for numbers, _, said in done)
    assert fork(tmp_path) == (kept[1], PROGRAMS, "")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: folder.chmod(0o770), "can be written by others"),
        (
            lambda folder: (folder.rmdir(), folder.write_text("")),
            "cannot be used (File exists)",
        ),
    ],
)
def test_a_folder_that_is_not_to_be_trusted_is_named(
    kept, fork, tmp_path: Path, spoil, said: str
) -> None:
    folder = tmp_path / "programs"
    folder.mkdir()
    spoil(folder)
    numbers, hits, error = fork(folder)
    assert (numbers, hits) == (kept[1], 0)
    assert len(error.splitlines()) == 1
    assert said in error
    assert VARIABLE in error
    assert not [path for path in files(folder) if path.suffix]


def test_folders_are_made_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        assert programs.unusable(tmp_path / "cache" / "a" / "b") == ""
    finally:
        os.umask(before)
    assert (tmp_path / "cache" / "a").stat().st_mode & 0o077 == 0


def test_a_folder_of_someone_else_is_not_used(tmp_path: Path, monkeypatch) -> None:
    assert programs.unusable(tmp_path / "a" / "b") == ""
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert "someone else" in programs.unusable(tmp_path / "a" / "b")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_not_writable_is_not_used(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "Permission denied" in programs.unusable(tmp_path / "b")


def test_nothing_is_kept_where_that_is_not_wanted(kept, fork, tmp_path: Path) -> None:
    assert fork(tmp_path, "not") == (kept[1], 0, "")
    own = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "of JAX")}
    assert compute(tmp_path, **own)[0] == kept[1]
    assert not [path for path in files(tmp_path) if path.suffix]
    assert fork(Path(NONE)) == (kept[1], 0, "")


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    old, new = Entries(tmp_path / "one"), Entries(tmp_path / "other", most=20_000)
    for number in range(10):
        old.put(f"old {number}", bytes(1000))
        os.utime(old._path(f"old {number}"), (1000 + number, 1000 + number))
    assert old.get("old 3") == bytes(1000)
    for number in range(12):
        new.put(f"new {number}", bytes(1000))
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 20_000
    there = [number for number in range(10) if old.get(f"old {number}")]
    assert there[0] == 3
    assert there[1:] == list(range(11 - len(there), 10))
    assert all(new._path(f"new {number}").exists() for number in range(12))


def test_what_jax_does_not_load_is_said_once(tmp_path: Path, capsys) -> None:
    entries = Entries(tmp_path)
    entries.put("a", b"program")
    for _ in range(3 * REFUSALS):
        assert entries.get("a") == b"program"
        entries.loaded()
    assert capsys.readouterr().err == ""
    answers = [entries.get("a") for _ in range(REFUSALS + 3)]
    assert answers == [b"program"] * REFUSALS + [None] * 3
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_full_disk_ends_nothing(tmp_path: Path) -> None:
    entries = Entries(tmp_path / "gone")
    entries.put("a", b"program")
    assert entries.get("a") is None
