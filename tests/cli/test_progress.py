"""Events as lines and as bars."""

import io
import re

import numba
import pytest
from rich.console import Console

from gossamer.cli.bars import bars
from gossamer.cli.compiling import telling
from gossamer.cli.progress import Lines, describe, showing
from gossamer.events import Event, silent


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_describe() -> None:
    event = Event("solve", 40, None, "conjugate gradients", {"residual": 0.0123, "valid": 0.04567})
    assert describe(event) == "residual 12.3, validation 45.7 meV/Å, iteration 40"
    assert describe(Event("search", 2, None, "length 40", {"valid": 0.2})) == "length 40, validation 200 meV/Å"
    assert describe(Event("precondition", 5, 10, "choosing columns")) == "choosing columns"
    assert describe(Event("score")) == ""


def test_a_line_per_stage_and_every_ten_seconds(clock: Clock) -> None:
    said: list[str] = []
    show = Lines(said.append, clock)
    show(Event("precondition", 1, 8, "choosing columns"))
    for second in range(1, 31):
        clock.now = second
        show(Event("solve", second, None, "", {"residual": 0.001}))
    assert said == [
        "[    0 s] preconditioner 1/8: choosing columns",
        *(f"[   {k:2d} s] solving: residual 1 meV/Å, iteration {k}" for k in (1, 11, 21)),
    ]


def test_lines_tell_how_long_a_stage_will_still_take(clock: Clock) -> None:
    said: list[str] = []
    show = Lines(said.append, clock)
    for second in range(31):
        clock.now = 100.0 + second
        show(Event("md", 50 + 10 * second, 1000, values={"temperature": 300.4, "energy": -1.5, "ns/day": 12.34}))
    assert said == [
        "[  100 s] dynamics 50/1000: 300 K, -1.5000 eV, 12.3 ns/day",
        *(
            f"[  {100 + k} s] dynamics {50 + 10 * k}/1000: 300 K, -1.5000 eV, 12.3 ns/day, {95 - k} s left"
            for k in (10, 20, 30)
        ),
    ]


def test_stages_inside_a_reduction_are_no_news(clock: Clock) -> None:
    said: list[str] = []
    show = Lines(said.append, clock)
    for k in range(1, 4):
        clock.now += 1
        show(Event("reduce", k, 3, f"Q{k}0"))
        show(Event("precondition", 1, 8))
        show(Event("solve", 10, None))
    clock.now += 20
    show(Event("solve", 20, None))
    show(Event("report"))
    assert said == [
        "[    1 s] reducing 1/3: Q10",
        "[    2 s] reducing 2/3: Q20",
        "[    3 s] reducing 3/3: Q30",
        "[   23 s] solving: iteration 20",
        "[   23 s] writing report",
    ]


def test_compilation_is_told_once_for_functions_that_need_each_other() -> None:
    inner = numba.njit(lambda x: x + 1)
    outer = numba.njit(lambda x: inner(x) + 1)
    said: list[Event] = []
    with telling(said.append) as show:
        numba.njit(lambda x: x - 1)(1)  # before the first stage there is no line to say it in
        show(Event("solve", 40, None, "conjugate gradients", {"residual": 0.0123}))
        assert outer(1) == 3
        assert outer(2) == 4
    outer(1.0)
    first, compiling, last = said
    assert last is first
    assert (compiling.stage, describe(compiling)) == ("solve", "compiling (first run only)")


def test_compilation_is_told_though_it_fails() -> None:
    said: list[Event] = []
    with telling(said.append) as show:
        show(Event("score"))
        for _ in range(2):
            with pytest.raises(numba.TypingError):
                numba.njit(lambda x: x.no_such_thing)(1)
    assert [describe(event) for event in said] == ["", *("compiling (first run only)", "") * 2]


def test_the_first_compilation_is_a_line_at_once(clock: Clock) -> None:
    said: list[str] = []
    show = Lines(said.append, clock)
    compiling = Event("learn", 0, 9, "compiling (first run only)")
    for event in (Event("learn", 0, 9), compiling, Event("learn", 0, 9), compiling):
        clock.now += 1
        show(event)
    clock.now += 20
    show(compiling)
    assert said == [
        "[    1 s] learning weights 0/9",
        "[    2 s] learning weights 0/9: compiling (first run only)",
        "[   24 s] learning weights 0/9: compiling (first run only)",
    ]


def test_a_stage_without_words_has_no_colon(clock: Clock) -> None:
    said: list[str] = []
    Lines(said.append, clock)(Event("score", 0, 1))
    assert said == ["[    0 s] scoring pairs"]


FIT = [Event("precondition", 1, 8, "choosing columns"), Event("solve", 40, None, "", {"residual": 0.0123})]


@pytest.mark.parametrize(
    ("events", "rows"),
    [
        ([Event("symmetry", 1, 1, "a group of [6]")], ["symmetry a group of [6]"]),
        ([Event("symmetry", 1, 1), *FIT], ["solving residual 12.3 meV/Å, iteration 40"]),
        ([*FIT, Event("reduce", 2, 4, "Q20"), *FIT], ["reducing Q20", "solving residual 12.3 meV/Å, iteration 40"]),
        ([*FIT, Event("reduce", 2, 4, "Q20"), *FIT, Event("report")], ["writing report"]),
        ([Event("unheard of", 1, 2, "x" * 200)], [f"unheard of {'x' * 38}…"]),
    ],
)
def test_bars_show_the_fit_and_its_stage(events: list[Event], rows: list[str]) -> None:
    screen = io.StringIO()
    with bars(Console(file=screen, force_terminal=True, width=80, color_system=None)) as show:
        for event in events:
            show(event)
    frames = [re.sub(r"\x1b\[[?\d]*\w", "", frame).strip() for frame in screen.getvalue().split("\x1b[2K")]
    last = [frame for frame in frames if frame][-1]
    shown = [re.sub(r"[━╸╺]+ +\S+( left)?", "", line) for line in last.splitlines() if line.strip()]
    assert [" ".join(line.split()) for line in shown] == rows


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with showing(quiet=True) as show:
        assert show is silent
    assert capsys.readouterr() == ("", "")


def test_without_a_terminal_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with showing(quiet=False) as show:
        show(Event("score", 1, 2, "pairs [all] of them"))
    assert capsys.readouterr() == ("", "[    0 s] scoring pairs 1/2: pairs [all] of them\n")
