"""What the commands are made of, where a command alone would not show it."""

import signal
import threading
import warnings

import pytest
import typer

from crossent.certificate import TracePoint
from crossent.cli.interrupt import progress_line, stop_on_interrupt
from crossent.cli.messages import Messages
from crossent.cli.outcome import one_line_errors, shown_warnings


def test_the_first_interrupt_only_asks_and_the_second_one_raises():
    asked = []
    with stop_on_interrupt(lambda: asked.append(1)) as request:
        signal.raise_signal(signal.SIGINT)
        assert request.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    assert asked == [1]


def test_afterwards_interrupts_are_handled_as_before():
    before = signal.getsignal(signal.SIGINT)
    with stop_on_interrupt(lambda: None) as request:
        assert signal.getsignal(signal.SIGINT) is not before

    assert not request.asked
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_the_main_thread_nothing_is_changed():
    before, seen = signal.getsignal(signal.SIGINT), []

    def work():
        with stop_on_interrupt(lambda: None):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert seen == [before]


@pytest.mark.parametrize(
    ("gap", "words"),
    [
        (3.1e-5, "relative gap 3.1e-05 (ends at 2.5e-06)"),
        (float("inf"), "no bound on the gap yet"),
        (float("nan"), "gradient norm 4.0e-03"),
    ],
)
def test_the_progress_line_says_how_far_it_is_to_the_end(gap, words):
    line = progress_line(TracePoint(12, 1.5, 0.25, gap, 4e-3), tol=2.5e-6)

    assert line.startswith("pass 12, objective 0.25 nats, ")
    assert words in line
    assert line.endswith("1.5 s")


def test_an_error_of_several_lines_becomes_one_with_a_hint(capsys):
    with pytest.raises(typer.Exit) as exit_, one_line_errors(Messages(), debug=False):
        raise ValueError("first\n  second")  # noqa: EM101

    assert exit_.value.exit_code == 1
    assert capsys.readouterr().err == "error: first second (--debug shows where)\n"


def test_a_mistake_of_ours_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError), one_line_errors(Messages(), debug=False):
        raise ZeroDivisionError


def test_a_reader_that_went_away_is_no_error_of_the_data(capsys):
    with pytest.raises(BrokenPipeError), one_line_errors(Messages(), debug=False):
        raise BrokenPipeError(32, "Broken pipe")

    assert capsys.readouterr().err == ""


def test_text_from_data_is_not_read_as_markup(capsys):
    Messages().say("column [red]x[/red] :smile: [/]")

    assert capsys.readouterr().err == "column [red]x[/red] :smile: [/]\n"


def test_a_warning_is_shown_once_and_without_its_place_in_the_code(capsys):
    with shown_warnings(Messages(quiet=True)):
        for _ in range(3):
            warnings.warn("look\nout", UserWarning, stacklevel=1)

    assert capsys.readouterr().err == "warning: look out\n"


def test_without_a_terminal_the_moving_line_is_printed_now_and_then(capsys, monkeypatch):
    now = iter([0.0, 1.0, 6.0, 6.0, 7.0])
    monkeypatch.setattr("crossent.cli.messages.time.monotonic", lambda: next(now))
    with Messages().moving_line("start") as show:
        for text in ("after 1 s", "after 6 s", "after 7 s"):
            show(text)

    assert capsys.readouterr().err == "after 6 s\n"
