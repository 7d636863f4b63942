"""python -m theory list | check [ID... | FILE.py...] | explain [ID]: the theory's statements, and yours, checked."""

import argparse
import importlib.util
import json
import os
import sys
import textwrap
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from theory.statement import Statement

TRUE_EXAMPLE = """\
from theory import Statement
from theory.spectra import ky_fan, slope

STATEMENT = Statement(
    id="slope-below-spectral-norm",
    claim=r"\\rho_k(C) \\le k \\sigma_1^2 / T",
    sides=lambda C, k: (slope(C, k), k * ky_fan(C, 1) ** 2 / C.shape[1]),
)
"""
FALSE_EXAMPLE = """\
from theory import Statement
from theory.spectra import slope

STATEMENT = Statement(
    id="every-task-lowers-the-slope",
    source="folklore",
    claim=r"\\rho_k(C) \\le \\rho_k(C \\text{ without its last task})",
    hypotheses=["unit_tasks", lambda C, k: k < C.shape[1]],
    sides=lambda C, k: (slope(C, k), slope(C[:, :-1], k)),
)
"""
FORM = """\
A claim of your own is a file that defines STATEMENT. It says lhs <= rhs (or, with relation="==", lhs == rhs) for every
task matrix C (d, T), one task per column, and every 1 <= k <= min(d, T) that satisfy the hypotheses: names from the
list below, or functions of (C, k). `sides` returns (lhs, rhs), made from numpy and theory.spectra. What is built from
theory.spectra, + - * / and numpy's elementary functions is confirmed in 50-digit arithmetic when refuted, other claims
against a float-error bound.

A true one:

{true}
A false one, for `python -m theory check` to refute:

{false}
Hypotheses: {hypotheses}
"""
PROOF_PACKAGES = ("sympy", "mpmath", "cvxpy", "flint")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status: 0 as expected, 1 something refuted or inconclusive, 2 bad input."""
    given = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = given.command
    try:
        return command(given)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in PROOF_PACKAGES:
            raise
        return _refuse(f"{error.name} is not installed: pip install 'cognitive-reserve[proofs]'")
    except ValueError as error:
        return _refuse(str(error))


def _refuse(message: str) -> int:
    print("theory: " + " ".join(message.split()), file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m theory", description=(__doc__ or "").partition(": ")[2]
    )
    commands = parser.add_subparsers(required=True, metavar="list | check | explain")
    one = commands.add_parser("list", help="the statements of the registry")
    one.set_defaults(command=_list)
    one = commands.add_parser(
        "check", help="check the proofs of statements, support or refute them"
    )
    one.add_argument("what", nargs="*", metavar="ID | FILE.py", help="default: the whole registry")
    one.add_argument("--json", type=Path, metavar="OUT", help="write the reports there")
    one.add_argument("--table", type=Path, metavar="OUT", help="write the registry's table there")
    one.add_argument("--profile", choices=("quick", "full"), default="full")
    one.set_defaults(command=_check)
    one = commands.add_parser(
        "explain", help="a statement's page; without one, how to state your own claim"
    )
    one.add_argument("what", nargs="?", metavar="ID | FILE.py")
    one.set_defaults(command=_explain)
    return parser


def _list(given: argparse.Namespace) -> int:
    from theory.statements import statements

    known = statements()
    width = max(map(len, known), default=0)
    for statement in known.values():
        number = "" if statement.number is None else str(statement.number)
        print(f"{number:>3}  {statement.id:<{width}}  {statement.claim}")
    return 0


def _check(given: argparse.Namespace) -> int:
    from tqdm import tqdm

    from theory.check import check, describe, show

    for option, path in (("--json", given.json), ("--table", given.table)):
        if path is not None and not path.parent.is_dir():
            raise ValueError(f"{option} {path}: there is no folder {path.parent}: make it first")
    if given.table is not None and given.what:
        raise ValueError("--table is of the whole registry: name no statement")
    chosen = _chosen(given.what)
    reports = []
    for statement, path in tqdm(
        chosen, unit="statement", leave=False, disable=not sys.stderr.isatty()
    ):
        try:
            report = check(statement, given.profile)
        except ValueError as error:
            raise ValueError(_located(error, path)) from error
        if path is not None and "no instance satisfies" in describe(report.verdict):
            raise ValueError(
                f"{path}: {statement.id}: no instance satisfies the hypotheses: weaken them"
            )
        reports.append(report)
        tqdm.write(
            report.summary()
            + ("" if report.as_expected else "  <-- not as it should be") * (path is None)
        )
        tightest = getattr(report.sampled, "tightest", None)
        if path is not None and tightest is not None:
            at = ", ".join(f"{name} = {show(value)}" for name, value in tightest.items())
            tqdm.write(f"    tightest at {at}")
    if given.json is not None:
        record = {"profile": given.profile, "reports": [report.as_json() for report in reports]}
        text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
        _write("--json", given.json, text + "\n")
    if given.table is not None:
        from theory.page import page

        _write("--table", given.table, page(reports))
    return 0 if all(report.as_expected for report in reports) else 1


def _explain(given: argparse.Namespace) -> int:
    from theory.statement import HYPOTHESES

    if given.what is None:
        true, false = (textwrap.indent(text, "    ") for text in (TRUE_EXAMPLE, FALSE_EXAMPLE))
        print(FORM.format(true=true, false=false, hypotheses=", ".join(HYPOTHESES)))
        return 0
    from theory.check import check, describe, show

    [(statement, path)] = _chosen([given.what])
    page = _page(statement, show)
    try:
        report = check(statement, "quick")
    except ValueError as error:
        raise ValueError(_located(error, path)) from error
    print(page)
    for step, verdict, seconds in report.steps:
        print(f"  {step.name}: {step.says}\n    {describe(verdict)} ({seconds:.2f} s)")
    print(f"Verdict     {report.summary()}")
    print(f"Source      {statement.source or 'not given'}")
    return 0


def _page(statement: Statement, show: Callable[[Any], str]) -> str:
    def at(instance: Any) -> str:
        if isinstance(instance, str):
            return instance
        return ", ".join(f"{name} = {show(value)}" for name, value in instance.items())

    import inspect

    number = "" if statement.number is None else f" (statement {statement.number})"
    lines = [f"{statement.id}{number}", ""]
    module = sys.modules.get(getattr(statement.sides, "__module__", ""))
    if module is not None and module.__name__.startswith("theory.statements.") and module.__doc__:
        lines += [inspect.cleandoc(module.__doc__), ""]
    lines += ["Setting     C (d, T) real, one task per column; 1 <= k <= min(d, T)"]
    lines += [f"Claim       {statement.claim}"]
    for condition in statement.conditions():
        lines += [f"Hypothesis  {condition.name}: {condition.says}"]
        if condition.name in statement.needed:
            lines += [f"  needed    {at(statement.needed[condition.name])}"]
    if statement.tight_at:
        lines += [f"Tight       {at(statement.tight_at)}"]
    if statement.as_refuted is not None:
        lines += [f"Witness     {at(statement.as_refuted)}"]
    if statement.remark:
        lines += [f"Remark      {statement.remark}"]
    return "\n".join([*lines, "Proof" if statement.proof else "No proof"])


def _chosen(what: Sequence[str]) -> list[tuple[Statement, Path | None]]:
    """The statements asked for, each with its file if it is the user's; all of the registry for none."""
    files = [name for name in what if name.endswith(".py") or "/" in name]
    known: dict[str, Statement] = {}
    if len(files) < len(what) or not what:
        from theory.statements import statements

        known = statements()
    for name in what:
        if name not in files and name not in known:
            near = ", ".join(known)
            raise ValueError(f"unknown statement {name!r}: use a FILE.py, or one of {near}")
    return [
        (_load(Path(name)), Path(name)) if name in files else (known[name], None)
        for name in what or known
    ]


def _load(path: Path) -> Statement:
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file")
    spec = importlib.util.spec_from_file_location(f"claim_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is no Python file: name it claim.py")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise ValueError(f"{path}:{error.lineno}: {error.msg}") from error
    except Exception as error:
        raise ValueError(_located(error, path)) from error
    statement = getattr(module, "STATEMENT", None)
    if not isinstance(statement, Statement):
        raise ValueError(
            f"{path} has no STATEMENT: end it with STATEMENT = Statement(...), as `explain` shows"
        )
    try:
        statement.conditions()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return statement


def _located(error: BaseException, path: Path | None) -> str:
    """The error in a line, after the line of the user's file that it comes from."""
    said = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
    if path is None:
        return said
    cause: BaseException | None = error
    line = None
    while cause is not None:
        for frame in traceback.extract_tb(cause.__traceback__):
            if Path(frame.filename).resolve() == path.resolve():
                line = frame.lineno
        cause = cause.__cause__
    return f"{path}{f':{line}' if line else ''}: {said}"


def _write(option: str, path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ValueError(f"{option} {path}: {error.strerror}: choose another place") from error


if __name__ == "__main__":
    sys.exit(main())
