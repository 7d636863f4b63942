"""Asking for the check of a claim file, in the process of the command line."""

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from theory.claim_file.limits import Limits
from theory.command.errors import InputError

LARGEST = 1 << 20
"""Bytes of a claim file."""
LIBRARIES = ("OPENBLAS", "OMP", "MKL", "BLIS", "NUMEXPR")
ENVIRONMENT = dict.fromkeys((f"{name}_NUM_THREADS" for name in LIBRARIES), "1") | {
    "VECLIB_MAXIMUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "MPLBACKEND": "Agg",
}
"""One thread for what numpy calls, which reads these when it is imported; sets in one order; no windows."""
GRADES = ("Steps checked", "Supported", "Refuted", "Inconclusive")
CLOSED = 74
"""The exit status of a fork whose pipe the file's code has closed."""
GRACE = 30.0
"""Seconds beyond the wall clock's limit in which the script must have answered."""


@dataclass(frozen=True)
class Answer:
    """What came of a claim file: its id, page and steps as text, its summary in a line, its report in plain values."""

    id: str
    page: str
    source: str
    summary: str
    tightest: str | None
    steps: tuple[str, ...]
    expected: bool
    report: dict[str, Any]


def ask(file: str, profile: str, limits: Limits, instances: int | None = None) -> Answer:
    """Check the file in a process of its own, at so many instances (the profile's if None).

    Raises InputError, in a line that begins with the file, if it cannot be checked.
    """
    _refuse_what_is_no_file(file)
    ended = _run(file, profile, limits, instances)
    messages = _messages(ended, file)
    statement = messages.get("statement")
    if ended["status"] == 0 and ended["limit"] is None:
        if "refused" in messages:
            raise InputError(_text(messages["refused"]["message"], file))
        if "report" in messages and statement is not None:
            return _answer(statement, messages["report"], file)
    limit = messages.get("limit", {}).get("limit") or ended["limit"]
    if limit is None:
        raise InputError(f"{file}: {_end(ended)}")
    evaluated, total = ended["evaluated"], ended["of"]
    if statement is not None and evaluated:
        reason = (
            f"stopped after {evaluated:,} of {total:,} instances, "
            f"at the limit of {limits.describe(limit)}"
        )
        return _inconclusive(statement, profile, reason, file)
    where = _text(messages.get("limit", {}).get("where", file), file).partition(": LimitReached")[0]
    raise InputError(
        f"{where}: at the limit of {limits.describe(limit)} before the claim was evaluated once"
    )


def _refuse_what_is_no_file(file: str) -> None:
    try:
        status = Path(file).stat()
    except FileNotFoundError:
        raise InputError(f"{file}: there is no such file") from None
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{file}: {said}: name a Python file") from None
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
        raise InputError(f"{file} is {kind}: name a Python file")
    if status.st_size > LARGEST:
        raise InputError(
            f"{file} has {status.st_size:,} bytes: a claim file has at most {LARGEST:,}"
        )
    if not os.access(file, os.R_OK):
        raise InputError(f"{file}: permission denied: make it readable")


def _run(file: str, profile: str, limits: Limits, instances: int | None) -> dict[str, Any]:
    """The script's answer; the script and all that it started end with this call, however that ends."""
    request = {
        "file": file,
        "profile": profile,
        "instances": instances,
        "path": [*sys.path, str(Path(file).absolute().parent)],
        "parent": os.getpid(),
        "cpu_seconds": limits.cpu_seconds,
        "wall_seconds": limits.wall_seconds,
        "memory": limits.memory,
    }
    process = subprocess.Popen(
        [sys.executable, "-P", str(Path(__file__).with_name("child.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | ENVIRONMENT,
        start_new_session=True,
    )
    with process:
        try:
            out, complaint = process.communicate(
                json.dumps(request).encode(), timeout=limits.wall_seconds + GRACE
            )
        except BaseException as error:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            raise InputError(f"{file}: its code stops the process that watches it") from None
    try:
        answer: dict[str, Any] = json.loads(out)
        return answer
    except ValueError:
        last = complaint.decode(errors="replace").strip().rpartition("\n")[2]
        said = f" ({last})" if last else ""
        raise InputError(
            f"{file}: its code ends the process that watches it{said}: leave processes alone"
        ) from None


def _messages(ended: dict[str, Any], file: str) -> dict[str, dict[str, Any]]:
    """What the fork sent, by kind; InputError if anything else was written there."""
    messages: dict[str, dict[str, Any]] = {}
    *lines, rest = ended["sent"].split("\n")
    for line in lines:
        try:
            message = json.loads(line)
            if message["nonce"] != ended["nonce"] or message["kind"] in messages:
                raise ValueError
            messages[message["kind"]] = message
        except (ValueError, KeyError, TypeError, RecursionError):
            rest = line
    if rest:
        raise InputError(f"{file}: its code writes to files that it has not opened: remove that")
    return messages


def _answer(statement: dict[str, Any], sent: dict[str, Any], file: str) -> Answer:
    report, expected = sent["report"], sent["expected"]
    name, tightest = _text(statement["id"], file), sent["tightest"]
    summary = _text(sent["summary"], file)
    grade = report["verdict"]["grade"]
    if not summary.startswith(f"{name}  ") or not str(grade).startswith(GRADES):
        raise InputError(f"{file}: a verdict of no known grade: {summary}")
    return Answer(
        id=name,
        page=_text(statement["page"], file, lines=True),
        source=_text(statement["source"], file),
        summary=summary,
        tightest=None if tightest is None else _text(tightest, file),
        steps=tuple(_text(line, file) for line in sent["steps"]),
        expected=expected is True and not str(grade).startswith("Inconclusive"),
        report=report,
    )


def _inconclusive(statement: dict[str, Any], profile: str, reason: str, file: str) -> Answer:
    """The answer for a claim whose check a limit cut off."""
    from theory.check import Report
    from theory.statement import Inconclusive, Statement

    fields = {name: statement[name] for name in ("id", "claim", "source", "number")}
    stopped = Inconclusive(reason)
    known = Statement(**fields, sides=lambda C, k: (0.0, 0.0))
    report = Report(known, profile, stopped, (), stopped, 0.0)
    sent = {
        "report": report.as_json(),
        "expected": False,
        "summary": report.summary(),
        "tightest": None,
        "steps": [],
    }
    return _answer(statement, sent, file)


def _end(ended: dict[str, Any]) -> str:
    """How the process ended before its answer."""
    if ended["status"] == CLOSED:
        return "its code closes files that it has not opened: remove that"
    if ended["signal"] == "SIGSEGV":
        return "its code crashes the interpreter (SIGSEGV): has a recursion no end?"
    end = ended["signal"] or f"exit status {ended['status']}"
    return f"its code ends the process ({end}): let it return"


def _text(value: Any, file: str, *, lines: bool = False) -> str:
    """A printable text, of one line unless said otherwise."""
    texts = value.split("\n") if lines and isinstance(value, str) else [value]
    if not all(isinstance(text, str) and text.isprintable() for text in texts):
        raise InputError(f"{file}: its report is no text that can be shown")
    return str(value)
