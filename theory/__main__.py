"""python -m theory list | check [ID... | FILE.py...] | explain [ID]: the theory's statements, and yours, checked."""

import argparse
import json
import os
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from theory.claim_file.limits import Limits
from theory.command.ending import temporary
from theory.command.errors import InputError, unprintable
from theory.command.progress import tracked, write
from theory.evidence import PROOF_PACKAGES

if TYPE_CHECKING:
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
STEPS_EXAMPLE = """\
from theory import Statement
from theory.evidence.certificates import Identity
from theory.evidence.lemmas import step
from theory.evidence.symbolic import dimensions, frob2, matrix, trace
d, T = dimensions("d T")
a, b = matrix("a", d, 1), matrix("b", d, 1)
STATEMENT = Statement(
    id="inner-product",
    claim=r"2 \\langle c_1, c_T\\rangle \\le \\|c_1\\|^2 + \\|c_T\\|^2",
    sides=lambda C: (2 * C[:, 0] @ C[:, -1], (C[:, 0] ** 2).sum() + (C[:, -1] ** 2).sum()),
    proof=[step("square", "the gap is a square", Identity(frob2(a - b), frob2(a) + frob2(b) - 2 * trace(a.T @ b)))],
)
"""
FORM = """\
A claim of your own is a file that defines STATEMENT. It says lhs <= rhs (or, with relation="==", lhs == rhs) for every
task matrix C (d, T), one task per column, and every 1 <= k <= min(d, T) that satisfy the hypotheses: names from the
list below, or functions of (C, k). `sides` returns (lhs, rhs), made from numpy and theory.spectra. What is built from
theory.spectra, + - * / and numpy's elementary functions is confirmed in 50-digit arithmetic when refuted, other claims
against a float-error bound. The file runs in a process of its own, with limits of processor time (--cpu-seconds) and
memory (2 GiB); its output is dropped, and what its functions answer may depend on nothing but C and k.

A true one:

{true}
A false one, for `python -m theory check` to refute:

{false}
Hypotheses: {hypotheses}

A proof may stand beside it, proof=[...], whose steps hold data that the checker evaluates itself (certificates:
Identity, Nonnegative, Limit, Entries, PositiveSemidefinite, Inequality, Citation of a lemma); a step that holds a
function is not counted. The verdict says what the steps assume, and that they imply the claim is by hand:

{proof}
Slacks are relative to scale="sides" (|lhs| + |rhs|) or scale="risk" (|C|_F^2/T if larger); a tolerance is at most 1e-9.
"""


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
    except InputError as error:
        return _refuse(str(error))
    except OSError as error:
        return _refuse(f"cannot use {error.filename or 'a file'} ({error.strerror}): mend that")
    except UnicodeEncodeError as error:
        line = unprintable(error)
        if line is None:
            raise
        return _refuse(line)
    except KeyboardInterrupt:
        return 130


def _refuse(message: str) -> int:
    line = " ".join(message.split())
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
    print(f"theory: {shown}", file=sys.stderr)
    return 2


class Parser(argparse.ArgumentParser):
    """Bad arguments end in one line and code 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(_refuse(f"{message}: see {self.prog} --help"))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m theory", description=(__doc__ or "").partition(": ")[2])
    commands = parser.add_subparsers(required=True, metavar="list | check | explain")
    command = commands.add_parser("list", help="the statements of the registry")
    command.set_defaults(command=_list)
    command = commands.add_parser(
        "check", help="check the proofs of statements, support or refute them"
    )
    command.add_argument(
        "what", nargs="*", metavar="ID | FILE.py", help="default: the whole registry"
    )
    command.add_argument("--json", type=Path, metavar="OUT", help="write the reports there")
    command.add_argument(
        "--table", type=Path, metavar="OUT", help="write the registry's table there"
    )
    command.add_argument("--profile", choices=("quick", "full"), default="quick")
    _add_limit(command)
    command.set_defaults(command=_check)
    command = commands.add_parser(
        "explain", help="a statement's page; without one, how to state your own claim"
    )
    command.add_argument("what", nargs="?", metavar="ID | FILE.py")
    _add_limit(command)
    command.set_defaults(command=_explain)
    return parser


def _add_limit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cpu-seconds",
        type=int,
        default=Limits.cpu_seconds,
        metavar="S",
        help="processor time for each FILE.py (default: %(default)s)",
    )


def _list(given: argparse.Namespace) -> int:
    from theory.statements import headings

    entries = headings()
    width = max((len(heading["id"]) for heading in entries), default=0)
    for heading in entries:
        number = "" if heading["number"] is None else str(heading["number"])
        print(f"{number:>3}  {heading['id']:<{width}}  {heading['claim']}")
    return 0


def _check(given: argparse.Namespace) -> int:
    for option, path in (("--json", given.json), ("--table", given.table)):
        if path is not None and not path.parent.is_dir():
            raise InputError(f"{option} {path}: there is no folder {path.parent}: make it first")
    if given.table is not None and given.what:
        raise InputError("--table is of the whole registry: name no statement")
    limits, chosen = _limits(given), _chosen(given.what)
    reports: list[Any] = []
    records = []
    expected = True
    refused = 0
    for statement in tracked(chosen, unit="statements"):
        if isinstance(statement, str):
            from theory.claim_file.ask import ask

            try:
                answer = ask(statement, given.profile, limits)
            except InputError as error:
                refused = _refuse(str(error))
                continue
            write(answer.summary)
            if answer.tightest is not None:
                write(f"    tightest at {answer.tightest}")
            records.append(answer.report)
            expected &= answer.expected
        else:
            from theory.check import check

            report = check(statement, given.profile, registry=True)
            write(report.summary() + "  <-- not as it should be" * (not report.as_expected))
            reports.append(report)
            records.append(report.as_json())
            expected &= report.as_expected
    if refused:
        return refused
    if given.json is not None:
        record = {"profile": given.profile, "reports": records}
        text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
        _write("--json", given.json, text + "\n")
    if given.table is not None:
        from theory.page import page

        _write("--table", given.table, page(reports))
    return 0 if expected else 1


def _explain(given: argparse.Namespace) -> int:
    if given.what is None:
        from theory.statement import HYPOTHESES

        true, false, proof = (
            textwrap.indent(text, "    ") for text in (TRUE_EXAMPLE, FALSE_EXAMPLE, STEPS_EXAMPLE)
        )
        names = ", ".join(HYPOTHESES)
        print(FORM.format(true=true, false=false, proof=proof, hypotheses=names))
        return 0
    limits, [statement] = _limits(given), _chosen([given.what])
    if isinstance(statement, str):
        from theory.claim_file.ask import ask

        answer = ask(statement, "quick", limits)
        page, steps, summary, source = answer.page, [*answer.steps], answer.summary, answer.source
        expected = answer.expected
    else:
        from theory import explain
        from theory.check import check

        report = check(statement, "quick", registry=True)
        page, steps, summary = explain.page(statement), explain.step_lines(report), report.summary()
        source, expected = statement.source, report.as_expected
    print(page, *steps, f"Verdict     {summary}", f"Source      {source or 'not given'}", sep="\n")
    return 0 if expected else 1


def _limits(given: argparse.Namespace) -> Limits:
    seconds = given.cpu_seconds
    if not 1 <= seconds <= 86400:
        raise InputError(f"--cpu-seconds {seconds}: give 1 to 86400")
    return Limits(seconds, max(Limits.wall_seconds, 10.0 * seconds))


def _chosen(what: Sequence[str]) -> list["Statement | str"]:
    """What was asked for, all of the registry for none: statements, and the names of the user's files."""
    files = [name for name in what if name.endswith(".py") or "/" in name]
    if len(files) == len(what) > 0:
        return [*files]
    from theory.statements import statements

    known = statements()
    for name in what:
        if name not in files and name not in known:
            near = ", ".join(known)
            raise InputError(f"unknown statement {name!r}: use a FILE.py, or one of {near}")
    return [name if name in files else known[name] for name in what or known]


def _write(option: str, path: Path, text: str) -> None:
    try:
        with temporary(path.with_name(f".{path.name}.{os.getpid()}")) as unfinished:
            unfinished.write_text(text)
            unfinished.replace(path)
    except OSError as error:
        raise InputError(f"{option} {path}: {error.strerror}: choose another place") from error


if __name__ == "__main__":
    sys.exit(main())
