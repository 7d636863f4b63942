"""The steps of a user's file, evaluated in a process that never runs the file.

Whatever the file changed of this package or of sympy in its own process, here a certificate is only data.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from theory.statement import Checked, Inconclusive, Step, Unchecked, Verdict

SECONDS = 600
"""After which steps that hang are Inconclusive."""
LARGEST = 1 << 20
"""Characters of the steps of one proof."""
ROOT = Path(__file__).resolve().parents[2]
SCRIPT = "from theory.evidence.apart import answer; answer()"


def verdicts(proof: Sequence[Step]) -> list[Verdict]:
    """A verdict a step: Checked or Inconclusive where it holds data, Unchecked where it holds code."""
    from theory.evidence.plain import NoData, written

    sent: list[Any] = []
    code: list[str] = []
    for step in proof:
        data, reason = None, ""
        try:
            data = written(step.check) if type(step) is Step else None
            if not isinstance(data, list):
                raise NoData(f"{type(step.check).__name__} is no certificate")
        except Exception as error:
            data, reason = None, " ".join(str(error).split())
        sent.append(data)
        code.append(reason)
    text = json.dumps(sent)
    if len(text) > LARGEST:
        return [Inconclusive(f"steps of {len(text):,} characters: at most {LARGEST:,}")] * len(sent)
    answers = _answers(text) if any(data is not None for data in sent) else [{}] * len(sent)
    return [
        Unchecked(f"it holds code of the file, no data: {reason}") if reason else _verdict(answer)
        for reason, answer in zip(code, answers, strict=True)
    ]


def _answers(text: str) -> list[Any]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", SCRIPT],
            input=text,
            capture_output=True,
            text=True,
            env=environment,
            timeout=SECONDS,
            check=True,
        )
        answers: list[Any] = json.loads(done.stdout)
        return answers
    except (subprocess.SubprocessError, ValueError) as error:
        reason = f"the steps have no answer ({type(error).__name__})"
        return [{"reason": reason} for _ in json.loads(text)]


def _verdict(answer: dict[str, Any]) -> Verdict:
    if "reason" in answer:
        return Inconclusive(answer["reason"])
    return Checked(answer["kind"], answer["scope"], tuple(answer["hypotheses"]))


def answer() -> None:
    """Answer the steps on standard input, in this process."""
    answers: list[dict[str, Any] | None] = []
    for data in json.load(sys.stdin):
        answers.append(None if data is None else _answer(data))
    print(json.dumps(answers))


def _answer(data: Any) -> dict[str, Any]:
    from theory.evidence.certificates import evaluate
    from theory.evidence.plain import read

    try:
        verdict = evaluate(read(data))
    except Exception as error:
        return {"reason": f"the check raises {type(error).__name__}: {error}"}
    if isinstance(verdict, Checked):
        return {
            "kind": verdict.kind,
            "scope": verdict.scope,
            "hypotheses": list(verdict.hypotheses),
        }
    return {"reason": getattr(verdict, "reason", f"the check ends in {type(verdict).__name__}")}
