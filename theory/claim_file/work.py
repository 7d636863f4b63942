"""What the fork does: run the file, check its statement, and send what came of it, a line of JSON each."""

import json
import os
import random
import signal
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from theory.check import check
from theory.claim_file import load
from theory.claim_file.ask import CLOSED
from theory.claim_file.errors import Unfit, cause, line_of, located
from theory.claim_file.guard import Guard
from theory.claim_file.limits import LimitReached, out_of_time
from theory.claim_file.progress import Progress
from theory.evidence import PROOF_PACKAGES
from theory.explain import page, step_lines, summary, tightest
from theory.statement import Refuted

Send = Callable[[str, dict[str, Any]], None]


def work(request: dict[str, Any], sending: int, nonce: str, progress: Progress) -> NoReturn:
    """Never returns: neither exits nor threads of the file's code come between its answer and its end."""
    pid = os.getpid()
    os.register_at_fork(after_in_child=lambda: os.close(sending))

    def send(kind: str, content: dict[str, Any]) -> None:
        if os.getpid() == pid:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGXCPU})  # a line is sent whole
            text = json.dumps({"nonce": nonce, "kind": kind} | content, allow_nan=False)
            data = text.encode() + b"\n"
            try:
                while data:
                    data = data[os.write(sending, data) :]
            except OSError:
                os._exit(CLOSED)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGXCPU})

    file = request["file"]
    try:
        signal.signal(signal.SIGXCPU, out_of_time)
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002 - of the file's code: the same draws each time it is run
        _check(request, send, progress)
    except LimitReached as reached:
        send("limit", {"limit": reached.kind, "where": located(reached, file)})
    except ModuleNotFoundError as error:
        remedy = " (pip install 'cognitive-reserve[proofs]')"
        missing = (error.name or "").partition(".")[0] in PROOF_PACKAGES
        send("refused", {"message": located(error, file) + remedy * missing})
    except BaseException as error:
        send("refused", {"message": located(error, file)})
    os._exit(0)


def _check(request: dict[str, Any], send: Send, progress: Progress) -> None:
    file = request["file"]
    guard = Guard(file, progress)
    changed = load.checker()
    claim = load.read(file)
    try:
        statement = claim.statement()
    finally:
        guard.leave_if_forked()
    _refuse_changes(changed())
    send(
        "statement",
        {
            "id": statement.id,
            "claim": statement.claim,
            "source": statement.source,
            "number": statement.number,
            "page": page(statement),
        },
    )
    try:
        report = check(
            guard.guarded(statement),
            request["profile"],
            instances=request["instances"],
            progress=progress.set,
        )
    except ModuleNotFoundError:
        raise
    except Exception as error:  # what a side is, is seen after it was returned
        _refuse_changes(changed())
        line, said = cause(error, file)
        raise Unfit(said, line or line_of(statement.sides, file)) from None
    guard.refuse_infinite(statement, isinstance(report.verdict, Refuted))
    guard.repeat(_again(claim) or statement)
    _refuse_changes(changed())
    guard.refuse_forks()
    send(
        "report",
        {
            "summary": summary(report),
            "tightest": tightest(report),
            "steps": step_lines(report),
            "expected": report.as_expected,
            "report": report.as_json(),
        },
    )


def _again(claim: load.ClaimFile) -> Any:
    """The statement of another run of the file; None if it runs but once."""
    try:
        return claim.statement()
    except Exception:
        return None


def _refuse_changes(name: str | None) -> None:
    if name is not None:
        raise Unfit(f"it changes {name}, which its check rests on: leave that as it is")
