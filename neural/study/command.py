"""What the command lines of the studies share."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sim.runs.command import command
from sim.runs.errors import UserError
from sim.runs.options import Options
from theory.command.ending import can_resume, grace

if TYPE_CHECKING:
    import pandas as pd

Stop = Callable[[], bool]
Arguments = TypeVar("Arguments", bound=Options)


def run(
    program: str,
    kind: type[Arguments],
    work: Callable[[Arguments, Stop], tuple[Path | None, str]],
    arguments: Sequence[str] | None = None,
) -> int:
    """The exit code of a study, of which work gives the folder and what to print, as sim.runs.command has it."""

    def done(given: Arguments) -> int:
        started = time.perf_counter()
        can_resume()
        with grace() as stop:
            out, closing = work(given, stop)
        print(closing)
        if out is not None:
            print(f"results in {out}, {time.perf_counter() - started:.0f} s")
        return 0

    return command(program, kind, done, arguments)


def folder_of(name: str, preset: str, study: Any) -> Path:
    """Where a study goes that was given no folder."""
    from sim.runs.identity import identity

    return Path("runs") / f"{name}-{preset}-{identity(study)[:8]}"


def studied(name: str, arguments: Any, study: Any, do: Callable[..., Any], stop: Stop) -> Path:
    """The folder of a study, of which that is done what was missing."""
    out: Path = arguments.out or folder_of(name, arguments.preset, study)
    do(study, out, resume=arguments.resume, stop=stop)
    return out


def listed(claims: "pd.DataFrame") -> str:
    """A line an effect."""
    return str(claims.to_string(index=False, float_format="{:.3g}".format))


def chosen(preset: str, presets: dict[str, Any]) -> Any:
    """The study of that name. Raises UserError for an unknown one."""
    if preset not in presets:
        raise UserError(f"unknown preset {preset!r}: choose from {', '.join(presets)}")
    return presets[preset]
