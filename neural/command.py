"""What the command lines of the studies share."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.runs.errors import UserError
from theory.command.ending import can_resume, grace, interrupted

if TYPE_CHECKING:
    import pandas as pd

Stop = Callable[[], bool]


def run(program: str, work: Callable[[Stop], tuple[Path | None, str]]) -> int:
    """The exit code of some work, which gives its folder and what to print: 2 on bad input, 130 when interrupted."""
    started = time.perf_counter()
    try:
        can_resume()
        with grace() as stop:
            out, closing = work(stop)
    except UserError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return interrupted(program)
    print(closing)
    if out is not None:
        print(f"results in {out}, {time.perf_counter() - started:.0f} s")
    return 0


def folder_of(name: str, preset: str, study: Any) -> Path:
    """Where a study goes that was given no folder."""
    from sim.runs.identity import identity

    return Path("runs") / f"{name}-{preset}-{identity(study)[:8]}"


def studied(name: str, arguments: Any, study: Any, do: Callable[..., Any], stop: Stop) -> Path:
    """The folder of a study, of which that is done what was missing."""
    out: Path = arguments.out or folder_of(name, arguments.preset, study)
    do(study, out, resume=arguments.resume, stop=stop)
    return out


def told(claims: "pd.DataFrame") -> str:
    """A line an effect."""
    return str(claims.to_string(index=False, float_format="{:.3g}".format))


def chosen(preset: str, presets: dict[str, Any]) -> Any:
    """The study of that name. Raises UserError for an unknown one."""
    if preset not in presets:
        raise UserError(f"unknown preset {preset!r}: choose from {', '.join(presets)}")
    return presets[preset]


def positive(arguments: Any, *names: str) -> None:
    """Raise UserError for an option that is given and below 1."""
    for name in names:
        value = getattr(arguments, name)
        if value is not None and value < 1:
            option = name.replace("_", "-")
            raise UserError(f"--{option} {value}: give a whole number >= 1")
