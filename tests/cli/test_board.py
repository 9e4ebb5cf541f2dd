"""What the live table shows of the events."""

from datetime import UTC, datetime, timedelta
from io import StringIO

from rich.console import Console

from app.commands import exits
from app.commands.board import Board, Row
from app.commands.terminal import print_line
from schemas.event import Event

START = datetime(2030, 1, 1, tzinfo=UTC)


def drawn(board: Board, width: int = 80) -> dict[str, str]:
    """The lines of the table by their first word."""
    out = StringIO()
    Console(file=out, width=width).print(board)
    return {line.split()[0]: line.rstrip() for line in out.getvalue().splitlines() if line.strip()}


def event(kind: str, subject: str = "train", *, after_s: float = 0, live: bool = False, **data: object) -> Event:
    time = START + timedelta(seconds=after_s)
    return Event(id=None if live else "1", source="x", type=kind, subject=subject, time=time, data=data)


def test_a_stage_goes_from_pending_to_completed_with_its_last_metrics_and_time():
    board = Board("demo", {"train": Row("train_model"), "evaluate": Row("run_evaluation")})
    assert "pending" in drawn(board)["train"]
    board.apply(event("stage.queued"))
    assert "queued" in drawn(board)["train"]
    board.apply(event("stage.started", attempt=1))
    board.apply(event("stage.progress", live=True, progress=0.5))
    board.apply(event("stage.metrics", live=True, metrics={"step": 3, "loss": 0.12345}))
    half = drawn(board, 120)["train"]
    assert "running" in half
    assert "loss=0.1235" in half
    assert "step" not in half
    board.apply(event("stage.completed", after_s=2.5, attempt=1))
    done = drawn(board, 120)["train"]
    assert "completed" in done
    assert "2.5 s" in done
    assert done.count("━") > half.count("━") / 2
    assert "pending" in drawn(board)["evaluate"]


def test_a_failure_shows_its_attempt_and_its_reason():
    board = Board("demo", {"train": Row("train_model")})
    board.apply(event("stage.started", attempt=2))
    board.apply(event("stage.failed", after_s=75, attempt=2, error={"message": "out of memory"}))
    line = drawn(board, 120)["train"]
    assert "failed" in line
    assert " 2 " in line
    assert "1 min 15 s" in line
    assert "out of memory" in line


def test_a_narrow_terminal_cuts_the_reason_and_nothing_else():
    board = Board("demo", {"preprocess": Row("preprocess_dataset")})
    board.apply(event("stage.failed", "preprocess", attempt=1, error={"message": "a very long reason " * 20}))
    line = drawn(board, 80)["preprocess"]
    assert "failed" in line
    assert len(line) <= 80
    assert line.endswith("…")


def test_what_users_write_is_no_markup_and_drives_no_terminal():
    board = Board("[/red] hi", {"train": Row("train_model")})
    board.apply(event("stage.failed", attempt=1, error={"message": "\x1b]0;owned\x07 [bold]loss[/bold] \u202e\ud800."}))
    lines = drawn(board, 200)
    assert "[/red] hi" in lines["[/red]"]
    assert lines["train"].endswith(" [bold]loss[/bold] .")


def test_what_is_printed_as_a_line_drives_no_terminal(capsys):
    print_line("Pipeline failed: \x1b[2J\ud800 and 1\u202f234 €\n")
    exits.say("\x1b[2J", exits.FAILED)
    out, err = capsys.readouterr()
    assert out == "Pipeline failed:  and 1\u202f234 €\n\n"
    assert err == "headway: \n"
