"""Do the tests see? Mutants of the modules that compute claims, tables, verdicts, risks, measures, each with its tests.

python tests/mutants.py --seed 17        60 mutants; exit 1 where fewer than 95 % are killed
python tests/mutants.py --seed 17 --list what would be run

A mutant is one node of a syntax tree, changed by one operator; (seed, count) choose which of all there are. Its tests
are the files that import its module, nearest first, and those named after its package. It is killed where one of them
fails, or hangs; each runs in a copy of the tree, two at a time. What is inside messages, annotations, f-strings and
raise statements is left alone, since no result comes from there, and so are tolerances of rounding: neither
a factor of two nor whether they are met exactly is a mistake.
"""

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from queue import Queue

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("theory", "sim", "neural", "figures")
MODULES = (
    *("theory/perturbation/*.py", "theory/spectra.py", "theory/representation.py"),
    *("theory/covariance.py", "theory/water_filling.py", "theory/dynamics.py"),
    *("theory/evidence/convex.py", "theory/evidence/chance.py", "theory/check.py"),
    *("sim/experiments/linear/measure.py", "sim/experiments/transformer/bottleneck.py"),
    *("sim/experiments/data/tasks.py", "sim/verdict.py", "sim/table.py"),
    *("neural/measures/intervals.py", "neural/measures/curvature.py"),
    *("neural/measures/spectra.py", "neural/measures/retrieval.py", "neural/measures/scoring.py"),
    *("neural/measures/probes/*.py", "neural/gpt/cache.py"),
    *("neural/*/claims.py", "neural/*/results.py", "neural/*/effects.py", "neural/*/checks.py"),
    *("neural/measures/degradation.py", "neural/masks/overlap.py"),
    *("neural/measures/efficiency.py", "neural/measures/alignment.py"),
    *("figures/engine/verdicts.py", "figures/*/tables.py", "figures/*/claims.py"),
)
HANG = 1800.0  # s, of the tests of a mutant that never end
WANTED = 0.95
NEAREST = 12  # files of tests at most
ROUNDING = 1e-6  # constants up to this are tolerances of rounding

COMPARED = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
COMPUTED = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
CALLED = {"max": "min", "min": "max", "mean": "sum", "sum": "mean", "any": "all", "all": "any"}
CALLED |= {"maximum": "minimum", "minimum": "maximum", "argmax": "argmin", "argmin": "argmax"}
CALLED |= {"norm": "max", "nunique": "count"}


@dataclass(frozen=True)
class Mutant:
    """A module with `old` replaced by `new` between two offsets of its text."""

    path: Path
    line: int
    start: int
    end: int
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.path.as_posix()}:{self.line}: {self.old} -> {self.new}"

    def applied(self, source: bytes) -> bytes:
        """The module, changed."""
        return source[: self.start] + self.new.encode() + source[self.end :]


def mutated(node: ast.AST) -> Iterator[ast.AST]:
    """The node changed by each operator that applies to it."""
    match node:
        case ast.Compare(_, [_], [ast.Constant(float() as value)]) if 0 < abs(value) <= ROUNDING:
            return
        case ast.Compare(left, [operator], [right]) if type(operator) in COMPARED:
            yield ast.Compare(left, [COMPARED[type(operator)]()], [right])
        case ast.BinOp(left, operator, right) if type(operator) in COMPUTED:
            yield ast.BinOp(left, COMPUTED[type(operator)](), right)
        case ast.BoolOp(operator, values):
            other = ast.Or() if isinstance(operator, ast.And) else ast.And()
            yield ast.BoolOp(other, values)
            yield ast.BoolOp(operator, values[:-1]) if len(values) > 2 else values[0]
        case ast.UnaryOp(ast.USub() | ast.Not() | ast.Invert(), operand):
            yield operand
        case ast.IfExp(test, body, orelse):
            yield ast.IfExp(test, orelse, body)
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() as value):
            yield ast.Constant(value + 1)
        case ast.Constant(float() as value) if abs(value) > ROUNDING:
            yield ast.Constant(value * 2)
        case ast.Call(ast.Attribute(owner, name) as function, arguments, keywords):
            if name in CALLED:
                yield ast.Call(
                    ast.Attribute(owner, CALLED[name], function.ctx), arguments, keywords
                )
        case ast.Call(ast.Name(name), arguments, keywords) if name in CALLED:
            yield ast.Call(ast.Name(CALLED[name], ast.Load()), arguments, keywords)


def _computing(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes under this one that compute: no annotations, messages, imports or raise statements."""
    if isinstance(node, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom):
        return
    yield node
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "ctx"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _computing(child)


def mutants_of(path: Path) -> Iterator[Mutant]:
    """All mutants of a module, in the order of its text."""
    source = (ROOT / path).read_bytes()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for node in _computing(ast.parse(source)):
        for other in mutated(node):
            start = starts[node.lineno - 1] + node.col_offset
            end = starts[node.end_lineno - 1] + node.end_col_offset
            old = " ".join(source[start:end].decode().split())
            yield Mutant(path, node.lineno, start, end, old, f"({ast.unparse(other)})")


def chosen(seed: int, count: int) -> list[Mutant]:
    """`count` mutants of all modules, as the seed draws them."""
    paths = sorted({p.relative_to(ROOT) for pattern in MODULES for p in ROOT.glob(pattern)})
    everything = list(chain.from_iterable(map(mutants_of, paths)))
    return random.Random(seed).sample(everything, min(count, len(everything)))


# --- the tests of a module -------------------------------------------------------------------------------------------


@cache
def _imports(path: Path) -> frozenset[Path]:
    """The files of ours that a file imports."""
    imported = set()
    for node in ast.walk(ast.parse((ROOT / path).read_bytes())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            base = Path(*name.split("."))
            for file in (base.with_suffix(".py"), base / "__init__.py"):
                if file.parts[0] in (*PACKAGES, "tests") and (ROOT / file).is_file():
                    imported.add(file)
    return frozenset(imported)


@cache
def _distances(test: Path) -> dict[Path, int]:
    """How many imports every file is from a test."""
    distance = {test: 0}
    queue = [test]
    for file in queue:
        for other in _imports(file):
            if other not in distance:
                distance[other] = distance[file] + 1
                queue.append(other)
    return distance


def tests_of(module: Path) -> list[Path]:
    """The files of tests that reach a module, nearest first; those named after it or its package before others."""
    names = {module.stem, *module.parent.parts[1:]}
    ranked = []
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        test = file.relative_to(ROOT)
        away = _distances(test).get(module)
        named = module.parts[0] in test.parts and any(name in test.stem for name in names)
        if "benchmarks" not in test.parts and (named or away is not None):
            ranked.append((min(away or 9, 2 if named else 9), not named, test))
    return [test for _, _, test in sorted(ranked)[:NEAREST]]


# --- running ---------------------------------------------------------------------------------------------------------


def killed_by(mutant: Mutant, tests: list[Path], tree: Path) -> str:
    """The first of the tests that fails of the mutant in a copy of the tree, or "" where it survives."""
    target = tree / mutant.path
    kept = target.read_bytes()
    target.write_bytes(mutant.applied(kept))
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider"]
    command += map(str, tests)
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, text=True, timeout=HANG
        )
    except subprocess.TimeoutExpired:
        return "hangs"
    finally:
        target.write_bytes(kept)
    if done.returncode == 0:
        return ""
    if done.returncode > 2:  # of pytest: 1 where a test fails, 2 where a file cannot be imported
        raise RuntimeError(f"{mutant}: pytest ends with {done.returncode}: {done.stderr[-2000:]}")
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0].split(" - ")[0] if failed else "does not import"


def copied(folder: Path) -> Path:
    """The tree in a folder, beside the same shared folder as ours."""
    tree = folder / "tree"
    for name in (*PACKAGES, "tests"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    if (shared := ROOT.parent / "shared").is_dir():
        (folder / "shared").symlink_to(shared)
    return tree


def main() -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--modules", nargs="*", help="only mutants whose path has one of these in it"
    )
    parser.add_argument("--list", action="store_true", help="only say which mutants")
    given = parser.parse_args()
    mutants = chosen(given.seed, given.count)
    if given.modules:
        mutants = [m for m in mutants if any(name in str(m.path) for name in given.modules)]
    if given.list:
        for mutant in mutants:
            print(mutant, "|", *(test.name for test in tests_of(mutant.path)))
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        trees: Queue[Path] = Queue()
        for job in range(given.jobs):
            (Path(scratch) / str(job)).mkdir()
            trees.put(copied(Path(scratch) / str(job)))

        def judged(mutant: Mutant, tests: list[Path]) -> bool:
            tree = trees.get()
            try:
                by = killed_by(mutant, tests, tree)
            finally:
                trees.put(tree)
            print(f"{'killed  ' if by else 'SURVIVES'} {mutant}  {by}", flush=True)
            return bool(by)

        with ThreadPoolExecutor(given.jobs) as pool:
            killed = sum(pool.map(judged, mutants, [tests_of(m.path) for m in mutants]))
    print(f"{killed} of {len(mutants)} killed ({killed / len(mutants):.1%}), seed {given.seed}")
    return 0 if killed >= WANTED * len(mutants) else 1


if __name__ == "__main__":
    sys.exit(main())
