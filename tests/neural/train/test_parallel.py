"""Devices and hosts, in processes of their own: 8 virtual CPU devices, and two processes that train one run."""

import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from neural.gpt.checkpoint import load, steps
from neural.train.loop import train
from neural.train.parallel import check, connect
from sim.runs.errors import UserError
from tests.neural.small_run import CONFIG, data, lines
from tests.places import ROOT

ON_DEVICES = """
import sys
from pathlib import Path

import jax
import numpy as np

from sim.programs import keep

keep()

from neural.train import parallel
from neural.train.loop import train
from neural.train.step import program
from tests.neural.small_run import config, data

assert jax.device_count() == 8
for name, options in {
    "data": {},
    "full": {"shard": "full"},
    "seeds": {"shard": "full", "seeds": (0, 1), "accumulation": 2},
}.items():
    run = config(evaluate_every=0, save_every=0, checkpoints="12", **options)
    train(run, Path(sys.argv[1]) / name, data=data())
    mesh = parallel.mesh_of(len(run.members))
    made = program(run.model, run.compute, run.optimiser, mesh, run.shard)
    state = jax.tree.leaves(made.init(np.array(run.seeds, np.uint32)))
    held = sum(array.addressable_shards[0].data.nbytes for array in state)
    print(name, made.step.compiled._cache_size(), *mesh.devices.shape, held)
"""


def spawn(*arguments, devices=1):
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "XLA_FLAGS": flags},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process):
    out, error = process.communicate(timeout=600)
    assert process.returncode == 0, error[-3000:]
    return out


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The run on one device."""
    return train(CONFIG, tmp_path_factory.mktemp("alone"), data=data()).folder


def assert_same_losses(folder, alone, *kinds):
    """Sums over devices come in another order: float32 rounding of the losses, 1e-6, carried on by 12 updates."""
    mine, wanted = (
        [line for line in lines(run) if line["kind"] in kinds and line["model"] == "seed-0"]
        for run in (folder, alone)
    )
    assert [line["step"] for line in mine] == [line["step"] for line in wanted]
    for name in ("loss", "gradient_norm"):
        np.testing.assert_allclose(
            [line[name] for line in mine if name in line],
            [line[name] for line in wanted if name in line],
            rtol=1e-4,
        )


def test_eight_devices_train_as_one_does(alone, tmp_path):
    printed = ended(spawn("-c", ON_DEVICES, tmp_path, devices=8))
    counts = {name: tuple(map(int, rest)) for name, *rest in map(str.split, printed.splitlines())}
    assert_same_losses(tmp_path / "data", alone, "train")
    assert_same_losses(tmp_path / "full", alone, "train")
    assert_same_losses(tmp_path / "seeds", alone, "train")
    traces, groups, devices, whole = counts["data"]
    assert (traces, groups, devices) == (1, 1, 8)
    assert counts["full"][:3] == (1, 1, 8)
    assert (
        counts["full"][3] < whole / 5
    )  # an eighth of every matrix; biases and layer norms are whole
    assert counts["seeds"][:3] == (1, 2, 4)
    assert counts["seeds"][3] < whole / 3  # of its one model a quarter
    assert steps(tmp_path / "seeds" / "seed-1") == (12,)


HOST = """
import sys

from sim.programs import keep

keep()

from neural.train import parallel
from neural.train.loop import train
from tests.neural.small_run import config, data

host, port, folder, shard, stop = sys.argv[1:]
parallel.connect(f"127.0.0.1:{port}", 2, int(host))
looks = iter(range(100))
try:
    train(
        config(shard=shard),
        folder,
        data=data(),
        stop=lambda: stop == "yes" and next(looks) == 6,
    )
except KeyboardInterrupt:
    print("stopped")
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.slow
def test_two_processes_train_one_run_that_one_process_resumes(alone, tmp_path):
    port = free_port()
    hosts = [spawn("-c", HOST, host, port, tmp_path, "full", "yes", devices=2) for host in (0, 1)]
    for host in hosts:
        assert "stopped" in ended(host)
    assert steps(tmp_path / "seed-0") == (0, 4)
    assert steps(tmp_path / "state") == (7,)
    train(CONFIG, tmp_path, data=data(), resume=True)
    assert_same_losses(tmp_path, alone, "train", "valid")
    assert load(tmp_path).step == 12


def test_what_hosts_and_devices_cannot_do(monkeypatch):
    with pytest.raises(UserError, match="--host 2 of 2: give 0 to 1"):
        connect("127.0.0.1:1", 2, 2)
    monkeypatch.setattr("jax.device_count", lambda: 8)
    check(8, 1)
    check(6, 4)
    with pytest.raises(UserError, match="6 sequences at once on 8 devices"):
        check(6, 1)
