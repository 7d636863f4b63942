"""What a claim file may use."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Seconds of processor time and of the wall clock, and bytes of data (heap and private mappings)."""

    cpu_seconds: int = 60
    wall_seconds: float = 600.0
    memory: int = 2 << 30

    def describe(self, kind: str) -> str:
        """The limit of that kind ("cpu", "wall" or "memory") in words."""
        return {
            "cpu": f"{self.cpu_seconds} s of processor time (--cpu-seconds)",
            "wall": f"{self.wall_seconds:g} s of wall clock",
            "memory": f"{self.memory / 2**30:g} GiB of memory",
        }[kind]


class LimitReached(BaseException):
    """The file's code reached a limit; no `except Exception` on the way stops it."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def out_of_time(*_: object) -> None:
    """A handler of SIGXCPU."""
    raise LimitReached("cpu")
