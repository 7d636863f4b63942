"""Lines that say how far work is, by an injected clock; a bar on a terminal."""

import io
import sys
from collections.abc import Callable
from queue import Queue

import pytest

from theory.command import progress as module
from theory.command.progress import Lines, progress, tracked, write


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(clock: Callable[[], float], **options: object) -> Lines:
    return Lines(**({"total": 40, "unit": "parts", "clock": clock} | options))  # type: ignore[arg-type]


def test_a_line_says_what_is_done_and_when_the_rest_will_be() -> None:
    now = [100.0]
    bar = lines(lambda: now[0], done=4)
    now[0] += 60
    assert bar.line() == "4 of 40 parts, time left unknown"
    bar.set_description("training en+el")
    bar.update(5)
    now[0] += 60
    # 5 in 2 minutes; those of an earlier session do not count.
    assert bar.line() == "training en+el: 9 of 40 parts, 12 min left"
    bar.update()
    bar.set_postfix(loss="2.313", refresh=False)
    assert bar.line() == "training en+el: 10 of 40 parts, loss 2.313, 10 min left"


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (59.6, "1 min"),
        (3599, "1 h 0 min"),
        (3 * 3600 + 1200, "3 h 20 min"),
        (26 * 3600, "1 d 2 h"),
    ],
)
def test_time_left_in_the_two_largest_units(seconds: float, says: str) -> None:
    now = [0.0]
    bar = lines(lambda: now[0], total=2)
    bar.update()
    now[0] = seconds
    assert bar.line() == f"1 of 2 parts, {says} left"


@pytest.mark.parametrize(
    ("n", "says"), [(999, "999"), (1000, "1k"), (1_234_567, "1.23M"), (3.2e9, "3.2G")]
)
def test_large_numbers(n: int, says: str) -> None:
    assert lines(lambda: 0.0, total=n, scaled=True).line().startswith(f"0 of {says} parts")
    assert lines(lambda: 0.0, total=0, unit="bytes", done=5).line() == "5 bytes, time left unknown"
    assert lines(lambda: 0.0, total=12345).line().startswith("0 of 12,345 parts")


def test_a_line_a_minute_be_there_news_or_none() -> None:
    minutes: Queue[float] = Queue()
    asked: Queue[float] = Queue()

    class Stream(io.StringIO):
        written: Queue[str] = Queue()

        def write(self, text: str) -> int:
            if text.strip():
                self.written.put(text)
            return len(text)

    def wait(seconds: float) -> None:
        asked.put(seconds)
        minutes.get()

    stream = Stream()
    bar = lines(lambda: 0.0, stream=stream)
    with bar.every_minute(wait):
        for done in (0, 0, 1):
            bar.update(done)
            minutes.put(0)
            expected = "1 of 40 parts, 0 s left" if done else "0 of 40 parts, time left unknown"
            assert stream.written.get(timeout=600) == expected
        assert asked.get(timeout=600) == module.MINUTE == 60
    minutes.put(0)
    assert stream.written.empty()


def test_a_bar_on_a_terminal_and_lines_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    with progress(3, unit="parts") as bar:
        assert isinstance(bar, Lines)
        assert bar.stream is None
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress(3, unit="parts", done=1, description="training") as bar:
        assert not isinstance(bar, Lines)
        bar.update()
        bar.set_description("measuring")
        bar.set_postfix(loss=1)
    assert "2/3" in sys.stderr.getvalue()  # type: ignore[attr-defined]
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress(3, unit="parts", shown=False) as bar:
        bar.update()
    assert sys.stderr.getvalue() == ""  # type: ignore[attr-defined]


def test_what_takes_less_than_a_minute_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(tracked("abc", unit="letters")) == ["a", "b", "c"]
    write("a report")
    assert capsys.readouterr() == ("a report\n", "")
