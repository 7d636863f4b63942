"""The script that runs a claim file: a fork with limits does the work, and what stays behind watches over it.

Request: JSON on standard input. Answer: one JSON object on standard output, written after the fork has ended.
"""

import contextlib
import json
import os
import resource
import secrets
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

MOST_BYTES = 16 << 20
"""Of a report; a larger one is cut, and so refused."""
FILE_BYTES = 64 << 20
"""The largest file that a claim may write."""
PDEATHSIG, CHILD_SUBREAPER = 1, 36  # linux/prctl.h


def main() -> None:
    """Answer the request on standard input."""
    request = json.load(sys.stdin)
    sys.path[:] = request["path"]
    _control(PDEATHSIG, signal.SIGTERM)
    _control(CHILD_SUBREAPER, 1)
    if os.getppid() != request["parent"]:
        return  # it ended before the line above could see to it
    import theory.claim_file.work  # before the fork, and so without the limits
    from theory.claim_file.progress import Progress

    progress = Progress()
    nonce = secrets.token_hex(16)
    receiving, sending = os.pipe()
    supervisor = os.getpid()
    fork = os.fork()
    if fork == 0:
        _control(PDEATHSIG, signal.SIGKILL)
        if os.getppid() != supervisor:
            os._exit(1)
        os.close(receiving)
        _silence()
        _limit(request)
        try:
            theory.claim_file.work.work(request, sending, nonce, progress)
        finally:
            os._exit(1)
    os.close(sending)
    signal.signal(signal.SIGTERM, lambda *_: _end(fork))
    answer = _watch(fork, receiving, time.monotonic() + request["wall_seconds"])
    evaluated, total = progress.get()
    if answer["cpu"] >= request["cpu_seconds"] and answer["signal"] in ("SIGXCPU", "SIGKILL"):
        answer["limit"] = "cpu"
    answer |= {"nonce": nonce, "evaluated": evaluated, "of": total}
    _end_descendants()
    sys.stdout.write(json.dumps(answer))


def _control(option: int, value: int) -> None:
    """prctl, where there is one."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _silence() -> None:
    """Standard input, output and error of the fork, and of what it starts, are /dev/null."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    os.close(nothing)


def _limit(request: dict[str, Any]) -> None:
    """Apply the limits to this process. After the soft limit of processor time SIGXCPU comes every second."""
    cpu = request["cpu_seconds"]
    wanted = {
        resource.RLIMIT_CPU: (cpu, cpu + 3),
        resource.RLIMIT_DATA: (request["memory"], request["memory"]),
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_FSIZE: (FILE_BYTES, FILE_BYTES),
    }
    for kind, values in wanted.items():
        ceiling = resource.getrlimit(kind)[1]
        soft, hard = (
            value if ceiling == resource.RLIM_INFINITY else min(value, ceiling) for value in values
        )
        resource.setrlimit(kind, (soft, hard))


def _watch(fork: int, receiving: int, end: float) -> dict[str, Any]:
    """What the fork sent and how it ended; killed at the end of its time, or when it stops."""
    sent = bytearray()
    limit: str | None = None
    stopped: str | None = None
    is_open = True
    while True:
        wait = max(0.0, min(0.2, end - time.monotonic()))
        if is_open:
            ready, _, _ = select.select([receiving], [], [], wait)
            chunk = os.read(receiving, 1 << 16) if ready else None
            is_open = chunk != b"" and len(sent) < MOST_BYTES
            sent += chunk or b""
        else:
            time.sleep(min(wait, 0.01))
        if not is_open or not ready:
            pid, status, usage = os.wait4(fork, os.WNOHANG | os.WUNTRACED)
            if pid and os.WIFSTOPPED(status):
                stopped = signal.Signals(os.WSTOPSIG(status)).name
                os.kill(fork, signal.SIGKILL)
            elif pid:
                break
            elif time.monotonic() >= end and limit is None:
                limit = "wall"
                os.kill(fork, signal.SIGKILL)
    with contextlib.suppress(BlockingIOError):  # a process that it left may hold the pipe open
        os.set_blocking(receiving, False)
        while is_open and (chunk := os.read(receiving, 1 << 16)):
            sent += chunk
    return {
        "sent": sent.decode(errors="replace"),
        "limit": limit,
        "status": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
        "signal": stopped or _signal(status),
        "cpu": usage.ru_utime + usage.ru_stime,
    }


def _signal(status: int) -> str | None:
    if not os.WIFSIGNALED(status):
        return None
    with contextlib.suppress(ValueError):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"signal {os.WTERMSIG(status)}"


def _end(fork: int) -> NoReturn:
    with contextlib.suppress(ProcessLookupError):
        os.kill(fork, signal.SIGKILL)
    _end_descendants()
    os._exit(1)


def _end_descendants() -> None:
    """Kill whatever the fork left; orphans become children of this process, a subreaper."""
    own = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    while True:
        with contextlib.suppress(OSError):
            for pid in own.read_text().split():
                os.kill(int(pid), signal.SIGKILL)
        try:
            os.wait() if own.exists() else os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not own.exists():
            return


if __name__ == "__main__":
    main()
