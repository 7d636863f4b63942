"""python -m neural.bench: how fast this machine trains a GPT, and how much of its arithmetic that uses."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from neural.gpt.config import Attention, Compute, DType, ModelConfig, compute_on, preset
from neural.gpt.memory import require_training
from sim.runs.command import command
from sim.runs.options import Count, Options, Seeds, Steps


@dataclass(frozen=True)
class Arguments(Options):
    """Time whole training steps (forward, backward, clip, AdamW) on random tokens: tokens per second, model FLOP
    utilisation against the best large matrix product of this machine in the same dtype, compile time, peak memory.
    """

    preset: str = "mini"
    """tiny, mini, small, gpt2, gpt2-medium, gpt2-large or gpt2-xl; the options below change it."""
    layers: Count | None = None
    width: Count | None = None
    heads: Count | None = None
    context: Count | None = None
    vocabulary: Count | None = None
    batch: Count = 8
    """Sequences in a step."""
    seeds: Seeds = 1
    """Models trained side by side."""
    steps: Steps = 10
    """Steps timed; their median counts."""
    dtype: DType | None = None
    """float32, bfloat16 or float64 (default: float32 on CPUs, bfloat16 elsewhere)."""
    attention: Attention | None = None
    """xla or cudnn (default: cudnn on NVIDIA's GPUs)."""
    remat: bool = False
    """Compute activations again for the gradient."""
    scan: bool = False
    """Compile one block and loop over the layers."""


@dataclass(frozen=True)
class Speed:
    """What was measured: medians, with the least and the most of `seconds` beside them."""

    device: str
    parameters: int
    tokens: int
    """In a step."""
    seconds: float
    least: float
    most: float
    flops: float
    """Of a step that the model needs, and (`product`) a second of the best matrix product."""
    product: float
    compilation: float
    memory: int
    """Bytes at the peak of a step: parameters, optimiser and temporary."""
    faults: int
    """Page faults in a step: XLA's temporary memory comes from the kernel anew each time, which clears its pages."""

    @property
    def utilisation(self) -> float:
        return self.flops / self.seconds / self.product


def measure(
    config: ModelConfig, compute: Compute, batch: int, *, seeds: int = 1, steps: int = 10
) -> Speed:
    """Time `steps` training steps of `seeds` models side by side, after two that are not counted."""
    import jax
    import numpy as np

    from neural.train import parallel
    from neural.train.optim import OptimiserConfig
    from neural.train.step import program

    config.check()
    compute.check()
    mesh = parallel.mesh_of(seeds)
    parallel.check(batch, seeds)
    require_training(config, seeds, batch)
    training = program(config, compute, OptimiserConfig(steps=10_000), mesh, "data")
    state = training.init(np.arange(seeds, dtype=np.uint32))
    shape = (seeds, 1, batch, config.context + 1)
    tokens = np.random.default_rng(0).integers(config.vocabulary, size=shape, dtype=np.int32)
    placed = parallel.place(tokens, parallel.of_batch(mesh))
    started = time.perf_counter()
    compiled = training.step.compiled.lower(state, placed, training.step.schedule).compile()
    compilation = time.perf_counter() - started

    def step() -> None:
        nonlocal state
        state, measures = compiled(state, placed, training.step.schedule)
        jax.block_until_ready(measures)

    times, faults = _times(step, steps)
    used = compiled.memory_analysis()
    return Speed(
        device=f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        parameters=config.parameters,
        tokens=seeds * batch * config.context,
        seconds=statistics.median(times),
        least=min(times),
        most=max(times),
        flops=seeds * batch * config.context * config.training_flops(),
        product=matrix_product(compute.dtype) * jax.device_count(),
        compilation=compilation,
        memory=used.argument_size_in_bytes + used.temp_size_in_bytes,
        faults=faults,
    )


def matrix_product(dtype: str) -> float:
    """Operations a second of the best of a few large square matrix products on one device, sums in float32 at least."""
    import jax
    import jax.numpy as jnp

    sizes = (1024, 2048) if jax.default_backend() == "cpu" else (4096, 8192)
    best = 0.0
    for n in sizes:
        a = jnp.ones((n, n), dtype)
        times, _ = _times(partial(_wait, jax.jit(lambda a: a @ a), a), 10)
        best = max(best, 2 * n**3 / min(times))
    return best


def _wait(function: Callable[..., Any], *arguments: Any) -> None:
    import jax

    jax.block_until_ready(function(*arguments))


def _times(work: Callable[[], Any], repeats: int) -> tuple[list[float], int]:
    """Seconds of each of the repeats, after two that are not counted, and the page faults in one."""
    work()
    work()
    seconds, before = [], _page_faults()
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return seconds, (_page_faults() - before) // repeats


def _page_faults() -> int:
    """Of this process so far; 0 where the system does not count them."""
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def report(speed: Speed) -> str:
    """The table that is printed."""
    lines = {
        "device": speed.device,
        "model": f"{speed.parameters / 1e6:.1f} M parameters, {speed.tokens} tokens a step",
        "speed": f"{speed.tokens / speed.seconds:,.0f} tokens/s",
        "step": f"{speed.seconds * 1e3:.1f} ms ({speed.least * 1e3:.1f} to {speed.most * 1e3:.1f})",
        "utilisation": f"{speed.utilisation:.0%} of {speed.product / 1e9:,.0f} GFLOP/s, the best matrix product here",
        "compilation": f"{speed.compilation:.1f} s",
        "memory": f"{speed.memory / 2**20:,.0f} MiB at the peak of a step",
        "page faults": f"{speed.faults:,} a step",
    }
    return "\n".join(f"{name:16} {value}" for name, value in lines.items())


def config_of(arguments: Arguments) -> tuple[ModelConfig, Compute]:
    """What is to be timed. Raises UserError, in one line, for what cannot be."""
    sizes = ("layers", "width", "heads", "context", "vocabulary")
    asked = {name: getattr(arguments, name) for name in sizes}
    config = replace(preset(arguments.preset), **{k: v for k, v in asked.items() if v is not None})
    config.check()
    import jax

    compute = compute_on(
        jax.default_backend(),
        dtype=arguments.dtype,
        remat=arguments.remat,
        scan=arguments.scan,
        attention=arguments.attention,
    )
    compute.check()
    return config, compute


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return command("neural.bench", Arguments, _main, arguments)


def _main(arguments: Arguments) -> int:
    config, compute = config_of(arguments)
    speed = measure(config, compute, arguments.batch, seeds=arguments.seeds, steps=arguments.steps)
    print(report(speed))
    return 0
