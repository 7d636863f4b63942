"""A batch over several devices gives the numbers of one device."""

import os
import subprocess
import sys

import numpy as np
import pytest

from tests.places import ROOT

PROGRAM = """
import jax, numpy as np, sys
from sim.programs import keep
keep()
from sim.experiments.linear.measure import measure
from sim.experiments.linear.train import train
from theory.geometry import sample

n, out = 11, sys.argv[1]
C = [sample("gaussian", 6, 3 + i % 2, i) for i in range(n)]
keys = jax.vmap(jax.random.key)(np.arange(n))
found = {"devices": jax.local_device_count()}
for trainer in ("orthonormal", "ridge"):
    trained = train(trainer, C, 2, keys, ridge=0.1)
    found[f"{trainer} W"], found[f"{trainer} steps"] = trained.W, trained.steps
for name, strengths in {"additive-noise": (0.0, 0.2), "adversarial-spectral": (0.0, 0.2)}.items():
    measured = measure(name, strengths, trained.W, trained.heads, C, keys, draws=50)
    found[f"{name} risk"], found[f"{name} clean"] = measured.risk, measured.clean
np.savez(out, **found)
"""


@pytest.fixture(scope="module")
def by_devices(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, np.ndarray]]:
    """What each number of devices answers, in a process of its own."""
    folder = tmp_path_factory.mktemp("devices")
    answers = {}
    for devices in (1, 8):
        flags = os.environ.get("XLA_FLAGS", "")
        environment = os.environ | {
            "XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count={devices}",
            "JAX_PLATFORMS": "cpu",
        }
        file = folder / f"{devices}.npz"
        subprocess.run(
            [sys.executable, "-c", PROGRAM, str(file)], cwd=ROOT, env=environment, check=True
        )
        with np.load(file) as arrays:
            answers[devices] = dict(arrays)
    return answers


def test_eight_devices_give_the_numbers_of_one(by_devices) -> None:
    assert {devices: answer.pop("devices").item() for devices, answer in by_devices.items()} == {
        1: 1,
        8: 8,
    }
    assert by_devices[1].keys() == by_devices[8].keys()
    for name, alone in by_devices[1].items():
        np.testing.assert_array_equal(by_devices[8][name], alone, err_msg=name)
