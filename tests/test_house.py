"""The rules of the house that a machine can check: imports, start-up cost, and the README's
commands."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.places import ROOT

PACKAGES = ("theory", "sim", "neural", "figures")

MAY_IMPORT = {
    "theory": ("theory",),
    "sim": ("theory", "sim"),
    "neural": ("theory", "sim.runs", "sim.failures", "neural"),
    "figures": ("theory", "sim", "neural", "figures"),
}
"""Of our own packages, what each may import."""

NEVER = {"theory": ("jax", "jaxlib", "optax")}


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def modules(source: str, name: str, *, is_package: bool = False) -> Iterator[str]:
    """Every dotted name that source, the text of module `name`, imports, relative ones resolved."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = name.split(".") if is_package else name.split(".")[:-1]
                parents = parents[: len(parents) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def broken_imports(package: str, source: str, name: str, *, is_package: bool = False) -> list[str]:
    """The imports of one module that the import rule forbids its package."""
    names = list(modules(source, name, is_package=is_package))
    ours = [module for module in names if within(module, PACKAGES)]
    forbidden = [module for module in ours if not within(module, MAY_IMPORT[package])]
    return forbidden + [module for module in names if within(module, NEVER.get(package, ()))]


def module_name(path: Path) -> tuple[str, bool]:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return (".".join(parts[:-1]), True) if parts[-1] == "__init__" else (".".join(parts), False)


@pytest.mark.parametrize("package", PACKAGES)
def test_import_rule(package: str) -> None:
    assert sources(package), f"no modules found in {package}/"
    for path in sources(package):
        name, is_package = module_name(path)
        broken = broken_imports(package, path.read_text(), name, is_package=is_package)
        assert not broken, (
            f"{name} may not import {broken}: {package} may import {MAY_IMPORT[package]}"
        )


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("theory", "import jax.numpy as jnp"),
        ("theory", "def f():\n    from jax import jit"),
        ("theory", "from sim import tasks"),
        ("theory", "from ..sim.runs import store"),
        ("sim", "import neural"),
        ("sim", "import figures.render"),
        ("neural", "from sim import train"),
        ("neural", "from sim.runs import store\nfrom sim.experiments import linear"),
        ("neural", "import figures"),
    ],
)
def test_import_rule_sees_breaches(package: str, source: str) -> None:
    assert broken_imports(package, source, f"{package}.module")


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("theory", "import numpy\nfrom theory.spectra import slope\nfrom . import geometry"),
        ("sim", "import jax\nfrom theory import geometry"),
        ("neural", "from sim import runs\nfrom sim.runs import store\nimport simpy, jax"),
        ("figures", "from sim import config\nfrom neural.gpt import model"),
    ],
)
def test_import_rule_admits_what_it_allows(package: str, source: str) -> None:
    assert not broken_imports(package, source, f"{package}.module")


STUDIES = ("robustness", "imbalance", "subnetworks", "dynamics", "across")
ROOMS = 14
"""Folders and modules of a package at most, beside its __init__ and its ways in."""


def test_no_study_is_a_library_of_another() -> None:
    """What two of them use lies in a room that all share; no shared room knows a study."""
    for path in sources("neural"):
        name, is_package = module_name(path)
        home = name.split(".")[1] if name.count(".") else ""
        foreign = tuple(f"neural.{study}" for study in STUDIES if study != home)
        imported = modules(path.read_text(), name, is_package=is_package)
        broken = [module for module in imported if within(module, foreign)]
        assert not broken, f"{name} may not import {broken}: move down what both use"


def test_figures_know_a_study_in_its_room_alone() -> None:
    """No other module imports one, or has its name as a string."""
    for path in sources("figures"):
        name, is_package = module_name(path)
        home = name.split(".")[1] if name.count(".") else ""
        others = {study for study in STUDIES if study != home}
        foreign = tuple(f"{package}.{s}" for package in ("neural", "figures") for s in others)
        text = path.read_text()
        broken = [m for m in modules(text, name, is_package=is_package) if within(m, foreign)]
        assert not broken, f"{name} may not import {broken}"
        strings = {n.value for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Constant)}
        assert not strings & others, f"{name} names the study {strings & others}"


NAMELESS = {"found", "told", "both", "one", "many", "further", "looks", "of"}
"""Names that do not say what a thing is. Fields keep them where they are recorded."""


def nameless(source: str) -> Iterator[str]:
    """Functions, their parameters and local variables, and aliases of imports of these names, with their lines."""
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.Import | ast.ImportFrom):
            yield from (
                f"{function.lineno}: {a.asname}" for a in function.names if a.asname in NAMELESS
            )
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if getattr(function, "name", "") in NAMELESS:
            yield f"{function.lineno}: {function.name}"
        for node in ast.walk(function):
            name = (
                node.arg
                if isinstance(node, ast.arg)
                else node.id
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
                else getattr(node, "name", None)
                if isinstance(node, ast.MatchAs | ast.MatchStar | ast.ExceptHandler)
                else None
            )
            if name in NAMELESS:
                yield f"{node.lineno}: {name}"


@pytest.mark.parametrize("folder", [*PACKAGES, "tests"])
def test_names_say_what_a_thing_is(folder: str) -> None:
    for path in sources(folder):
        assert not sorted(set(nameless(path.read_text()))), path


@pytest.mark.parametrize(
    "source",
    [
        "import a as of",
        "def one(): pass",
        "def f(found): pass",
        "def f(*, both=1): pass",
        "def f():\n    for many in (): pass",
        "def f():\n    def told(): pass",
        "f = lambda further: 1",
        "def f(x):\n    match x:\n        case looks: pass",
    ],
)
def test_names_that_say_nothing_are_seen(source: str) -> None:
    assert list(nameless(source))


def is_way_in(path: Path) -> bool:
    return path.suffix == ".py" and '\nif __name__ == "__main__":' in path.read_text()


@pytest.mark.parametrize("package", ["neural", "figures"])
def test_a_package_has_few_rooms(package: str) -> None:
    entries = [
        path
        for path in (ROOT / package).iterdir()
        if path.name not in ("__init__.py", "__pycache__") and not is_way_in(path)
    ]
    assert len(entries) <= ROOMS, sorted(path.name for path in entries)


@pytest.mark.parametrize(
    "path",
    [p for name in ("neural", "figures") for p in sorted((ROOT / name).glob("[!_]*.py"))],
    ids=lambda path: f"{path.parent.name}.{path.stem}",
)
def test_a_way_in_is_five_lines(path: Path) -> None:
    assert is_way_in(path), f"{path.name}: a module belongs into a room"
    _, *lines = [line for line in path.read_text().splitlines() if line.strip()]
    assert len(lines) <= 5


RESTARTED = ("train", "bench", *STUDIES)
"""Commands that restart themselves for huge pages, a quarter of a step's speed."""


def test_commands_restart_for_huge_pages_before_all_else() -> None:
    restarted = set()
    for path in sources("neural"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'":
                first = ast.unparse(node.body[0])
                if "restart_with_huge_pages()" in ast.unparse(node):
                    assert first == "restart_with_huge_pages()", path
                    restarted.add(module_name(path)[0].removesuffix(".__main__"))
    assert restarted == {f"neural.{name}" for name in RESTARTED}


def test_annotations_stay_objects() -> None:
    """A postponed annotation is a string, which jaxtyping and beartype cannot check at run time."""
    for path in [p for folder in (*PACKAGES, "tests") for p in sources(folder)]:
        for node in ast.walk(ast.parse(path.read_text())):
            postponed = isinstance(node, ast.ImportFrom) and node.module == "__future__"
            assert not postponed, f"{path.relative_to(ROOT)}:{node.lineno} imports from __future__"


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.parametrize(
    "module", ["sim.sweep", "theory", "neural.train", "neural.evaluate", "figures.render"]
)
def test_importing_does_not_import_jax(module: str) -> None:
    done = python("-c", f"import sys, {module}; print(*sys.modules, sep='\\n')")
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.split()
    assert module in loaded
    assert not [name for name in loaded if within(name, ("jax", "jaxlib"))]


WITHOUT_PROOF_PACKAGES = """
import importlib, pkgutil, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"cvxpy", "flint"}:
            raise ModuleNotFoundError(f"{name} is hidden by this test", name=name)

sys.meta_path.insert(0, Absent())
try:
    import cvxpy
except ModuleNotFoundError:
    pass
else:
    sys.exit("the test does not hide cvxpy")
import neural
for module in pkgutil.walk_packages(neural.__path__, "neural."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""


def test_neural_needs_no_proof_packages() -> None:
    done = python("-c", WITHOUT_PROOF_PACKAGES)
    assert done.returncode == 0, done.stderr


def shell_blocks(markdown: str) -> list[str]:
    return [block.strip() for block in re.findall(r"^```sh\n(.*?)^```$", markdown, re.M | re.S)]


def test_ci_runs_the_readme_test_command() -> None:
    """The second ```sh block of the README is the test command, and .ci/run runs that text."""
    script = (ROOT / ".ci" / "run").read_text()
    block = re.search(r"^# README: begin\n(.*?)^# README: end$", script, re.M | re.S)
    assert block, ".ci/run has no block between `# README: begin` and `# README: end`"
    blocks = shell_blocks((ROOT / "README.md").read_text())
    assert len(blocks) >= 2, "README.md needs two ```sh blocks: run the sweep, run the tests"
    assert blocks[1] == block[1].strip()
    assert "python -m sim.sweep" in blocks[0]
    assert "pytest" in blocks[1]


def test_ci_stops_at_a_failing_readme_command(tmp_path: Path) -> None:
    """A failure anywhere in the README's && list must end .ci/run, which `set -e` alone would not
    do."""
    (tmp_path / ".ci").mkdir()
    script = (ROOT / ".ci" / "run").read_text().replace("python3 -m venv", "false")
    (tmp_path / ".ci" / "run").write_text(script)
    done = subprocess.run(
        ["bash", ".ci/run"], cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode != 0
    assert "No such file" not in done.stderr, "it went on to activate the environment"


def test_the_readme_s_python_runs() -> None:
    block = re.search(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
    assert block
    names: dict[str, object] = {}
    exec(block[1], names)
    best = names["best"]
    assert best.slope == pytest.approx((best.singular_values**2).sum() / 8)  # type: ignore[attr-defined]


def test_the_readme_s_ratios_are_those_of_the_gallery() -> None:
    import pandas as pd

    table = pd.read_csv(ROOT / "figures" / "gallery" / "noisy-risk.csv").query("sigma == 2")
    names = {
        "MNIST": "mnist",
        "hand signs": "sign_digits32",
        "20 Newsgroups": "newsgroups20_counts",
    }
    lines = re.findall(
        r"^\| (.*), (closed form|measured) \| (.*) \|$",
        (ROOT / "sim" / "README.md").read_text(),
        re.M,
    )
    assert len(lines) == 2 * len(names)
    for name, kind, cells in lines:
        data = next(data for start, data in names.items() if name.startswith(start))
        chosen = (table.geometry == data) & (table.kind == kind.replace(" ", "-"))
        loss = table[chosen].set_index("T").loss
        assert [float(cell) for cell in cells.split(" | ")] == [
            round(loss[T] / loss[4], 2) for T in range(5, 10)
        ]


def test_the_readme_s_differences_are_those_of_the_gallery() -> None:
    import pandas as pd

    table = pd.read_csv(ROOT / "figures" / "gallery" / "nonlinear-tasks.csv")
    differences = table[table.kind == "difference"]
    lines = re.findall(
        r"^\| (\S+) \| (\S+ \[.*\]) \| (\S+ \[.*\]) \|$",
        (ROOT / "sim" / "README.md").read_text(),
        re.M,
    )
    assert len(lines) == 6
    for failure, *cells in lines:
        for samples, cell in zip(("divided", "each"), cells, strict=True):
            chosen = (differences.perturbation == failure) & (differences.group == "all")
            (row,) = differences[chosen & differences.options.str.contains(samples)].itertuples()
            assert cell == f"{row.value:+.3f} [{row.low:+.3f}, {row.high:+.3f}]"
    apart = (differences.high < 0).sum(), (differences.low > 0).sum()
    assert f"Of all {len(differences)} intervals" in (ROOT / "sim" / "README.md").read_text()
    assert (
        "{} lie below zero and {} above".format(*apart) in (ROOT / "sim" / "README.md").read_text()
    )


PAGES = [
    ROOT / "README.md",
    *(ROOT / package / "README.md" for package in ("theory", "sim", "neural")),
    *sorted((ROOT / "figures" / "results").glob("*.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    inside = [target for target in targets if not re.match(r"https?:|#", target)]
    missing = [name for name in inside if not (page.parent / name.split("#")[0]).exists()]
    assert not missing
    assert targets or page.parent.name == "theory"


def test_the_readme_is_one_page() -> None:
    assert len((ROOT / "README.md").read_text().split()) <= 1250
