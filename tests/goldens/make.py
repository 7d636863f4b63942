"""What must stay as it is, whatever moves: identities, tables that old runs left, and what is rendered of them.

python -m tests.goldens.make RUNS    writes all of it anew, from RUNS/sweep and RUNS/robustness … of these commands:

python -m sim.sweep --geometries orthonormal sphere duplicated --d 8 --T 3 4 --k 2 --seeds 1 --draws 32 --out RUNS/sweep
python -m neural.robustness --preset smoke --out RUNS/robustness      (and so on, for every study)

It is written anew only where a change states that it changes these numbers.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from neural.across import plan as across
from neural.dynamics import plan as dynamics
from neural.imbalance import plan as imbalance
from neural.robustness import plan as robustness
from neural.study.pretrained import training
from neural.subnetworks import plan as subnetworks
from sim import config as sweep
from sim.experiments.networks.rows import NetworkBatch
from sim.runs.identity import identity, written
from tests.fuzzing import module

HERE = Path(__file__).parent
STUDIES = ("robustness", "imbalance", "subnetworks", "dynamics", "across")
IDENTITIES = HERE / "identities.json"
RENDERED = "rendered"
"""Beside each run, what was rendered of it."""


def identities() -> dict[str, dict[str, list[str]]]:
    """By kind and preset: the identity of its configuration, and of the first of what it trains."""
    tokenizer = Path("tokenizer.json")
    return {
        "sweep": {name: [identity(it), *_cells(it)] for name, it in sweep.presets().items()},
        "robustness": {
            name: [identity(it), identity(training(it, it.texts[:1], tokenizer))]
            for name, it in robustness.presets().items()
        },
        "imbalance": {
            name: [identity(it), identity(it.training(it.runs[0]))]
            for name, it in imbalance.presets().items()
        },
        "subnetworks": {
            name: [identity(it), identity(training(it, it.languages, tokenizer))]
            for name, it in subnetworks.presets().items()
        },
        "dynamics": {
            name: [identity(it), identity(training(it, it.languages, tokenizer))]
            for name, it in dynamics.presets().items()
        },
        "across": {
            name: [identity(it), identity(it.training(it.runs[0]))]
            for name, it in across.presets().items()
        },
    }


def _cells(config: sweep.Config) -> list[str]:
    """What the draws of a sweep's first cells are seeded with, of each of its experiments."""
    made = [identity((cell, None)) for cell in config.cells()[:1]]
    if config.transformer is not None:
        tasks = config.transformer
        (geometry, seed), T = tasks.grid[0], tasks.T[0]
        cell = sweep.Cell(geometry, tasks.d, T, tasks.k, seed, "adam")
        name = identity((cell, tasks.architecture))
        made += [name, identity((name, tasks.perturbations[0]))]
    for source in config.data:
        if config.networks is not None:
            batch, budget = NetworkBatch(source, config.networks.T[0]), config.networks.budgets[0]
            made.append(identity((batch, budget, config.seed, config.networks)))
        else:
            cell = sweep.Cell(source.name, 64, config.data_T[0], config.data_k, config.seed, "d22")
            name = identity((cell, source))
            made += [name, identity((name, config.perturbations[0]))]
    return made


def rendered(kind: str, run: Path, out: Path) -> dict[str, str]:
    """The text of every .md, .csv and .json that is rendered of a run, by name; no picture is drawn."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("matplotlib.figure.Figure.savefig", lambda *_, **__: None)
        patch.setattr("matplotlib.layout_engine.ConstrainedLayoutEngine.execute", lambda *_: None)
        if kind == "sweep":
            code = module("figures.render").main(["--from", str(run), "--out", str(out)])
        else:
            code = module("figures.page").main([kind, "--from", str(run), "--out", str(out)])
    assert code == 0
    texts = {path.name: path.read_text() for path in out.iterdir() if path.suffix != ".png"}
    return {
        name: _lasting(text) if name.endswith(".json") else text for name, text in texts.items()
    }


def _lasting(text: str) -> str:
    """JSON without what tells which code rendered it, and when."""
    content: dict[str, Any] = json.loads(text)
    del content["rendered"]
    return json.dumps(content, indent=1) + "\n"


def main(runs: Path) -> None:
    IDENTITIES.write_text(json.dumps(identities(), indent=1) + "\n")
    for kind in ("sweep", *STUDIES):
        folder = HERE / kind
        shutil.rmtree(folder, ignore_errors=True)
        run, kept = runs / kind, folder / kind
        kept.mkdir(parents=True)
        for path in [*run.glob("part-*"), run / "_provenance.json"]:
            shutil.copy(path, kept)
        if kind == "dynamics":  # its models are few and small: what is missing can be made again
            shutil.copytree(run / "models", kept / "models")
            shutil.copy(run / "tokenizer.json", kept)
            config = kept / "models" / "config.json"
            record = json.loads(config.read_text()) | {"tokenizer": "tokenizer.json"}
            config.write_bytes(written(record))
        texts = rendered(kind, kept, folder / RENDERED)
        shutil.rmtree(folder / RENDERED)
        (folder / RENDERED).mkdir()
        for name, text in texts.items():
            (folder / RENDERED / name).write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
