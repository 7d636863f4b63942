"""Memory: whether what is asked for can fit, and huge pages for the temporary memory of compiled programs."""

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neural.gpt.config import ModelConfig

from theory.command.ending import hand_over

TUNABLES = "GLIBC_TUNABLES"


NUMBERS = 4
"""Of float32 that training keeps of every parameter: itself, its gradient, and Adam's two moments."""
FLOAT = 4
"""Bytes of one."""


def require_training(model: "ModelConfig", models: int, sequences: int) -> None:
    """Raise UserError where no device could train so many models at once, on so many sequences each at once.

    Counted are the parameters with what training keeps of them, and of every token the input of one layer: a lower
    bound, whatever is divided over the devices.
    """
    import jax

    from sim.runs.memory import require

    size = FLOAT * models * NUMBERS * model.parameters
    size += FLOAT * models * sequences * model.context * model.width
    require(
        size / jax.device_count(),
        f"training {models} models of {model.parameters:,} parameters on {sequences} sequences at once",
        "make the model smaller, lower the batch or raise --accumulation, or train fewer --seeds together",
        _of_device(),
    )


def require_running(model: "ModelConfig", sequences: int, length: int, cached: int = 0) -> None:
    """Raise UserError where no device could hold a model and so many sequences of so many ids, with logits of one.

    cached: bytes that are kept of each sequence beside these.
    """
    from sim.runs.memory import require

    size = FLOAT * (model.parameters + sequences * (length + max(model.vocabulary, model.width)))
    size += sequences * cached
    require(
        size,
        f"a model of {model.parameters:,} parameters on {sequences} sequences at once",
        "take fewer at once",
        _of_device(),
    )


def _of_device() -> int | None:
    """Bytes of memory of a device that has its own; None for the processor."""
    import jax

    return (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")


def restart_with_huge_pages() -> None:
    """On Linux, start this very process over with malloc told to ask for huge pages, unless its environment tells it
    something else already.

    XLA allocates a program's temporary memory anew at every call, and the kernel clears it page by page: on CPUs a
    quarter of a training step, a tenth of that in huge pages. glibc reads its tunables when a process starts, and at no
    other time. For the first line of a command; never for a library.
    """
    if sys.platform == "linux" and TUNABLES not in os.environ:
        os.environ[TUNABLES] = "glibc.malloc.hugetlb=1"
        hand_over()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
