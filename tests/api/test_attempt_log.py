"""Reading a log: any size, any bytes, whatever happens to the file meanwhile."""

import os
from functools import partial
from uuid import UUID

import pytest

from app import attempt_log
from app.artifacts import attempt_directory, open_log
from app.attempt_log import CHUNK_BYTES, TAIL_BYTES_MAX, LogReader

PIPELINE = UUID(int=1)


@pytest.fixture
def log(tmp_path):
    directory = attempt_directory(tmp_path, PIPELINE, "train", 1)
    directory.mkdir(parents=True)
    return directory / "log.txt"


@pytest.fixture
def reader(tmp_path, log):
    return partial(LogReader, partial(open_log, tmp_path, PIPELINE, "train", 1))


def read_all(reader, *, last=False):
    return "".join(iter(lambda: reader.read(last=last), ""))


def tail(reader, lines):
    one = reader()
    one.skip_to_tail(lines)
    return read_all(one)


def test_the_last_lines_are_found_from_the_end(log, reader):
    log.write_text("one\ntwo\nthree\n")
    assert [tail(reader, lines) for lines in range(5)] == [
        "",
        "three\n",
        "two\nthree\n",
        "one\ntwo\nthree\n",
        "one\ntwo\nthree\n",
    ]


def test_a_last_line_without_an_end_is_a_line(log, reader):
    log.write_text("one\ntwo\nthr")
    assert tail(reader, 1) == "thr"
    assert tail(reader, 2) == "two\nthr"


def test_empty_lines_count(log, reader):
    log.write_text("one\n\n\n")
    assert tail(reader, 2) == "\n\n"


def test_an_empty_log_has_no_lines(log, reader):
    log.touch()
    assert tail(reader, 10) == ""


@pytest.mark.parametrize("lines", [1, 2, 3, 10, 63, 64, 65, 200])
def test_lines_are_counted_over_the_borders_of_chunks(log, reader, monkeypatch, lines):
    monkeypatch.setattr(attempt_log, "CHUNK_BYTES", 16)
    written = [f"{'é' * (number % 20)}\n" for number in range(200)]
    log.write_text("".join(written))
    assert tail(reader, lines) == "".join(written[-lines:])


def test_a_tail_is_bounded_in_bytes_and_begins_with_a_whole_line(log, reader):
    with log.open("wb") as file:
        file.truncate(1_000_000_000)  # a log of 1 GB, mostly of nothing
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + b"x" * 99 + b"\n" * 1)
        for _ in range(20_000):
            file.write(b"y" * 99 + b"\n")
    text = tail(reader, 100_000)
    assert TAIL_BYTES_MAX - 100 < len(text) <= TAIL_BYTES_MAX
    assert set(text.splitlines()) == {"y" * 99}


def test_a_line_without_an_end_in_sight_is_cut_between_characters(log, reader):
    log.write_text("é" * TAIL_BYTES_MAX)
    for odd in ("", "x"):
        log.write_text("é" * TAIL_BYTES_MAX + odd)
        text = tail(reader, 10)
        assert set(text) <= {"é", "x"}
        assert len(text.encode()) >= TAIL_BYTES_MAX - 1


@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_characters_that_are_written_in_pieces_come_whole(log, reader, step):
    text = "aé→🚂\x1b[31mred\x1b[0m\r\n" * 3
    one, data, got = reader(), text.encode(), ""
    for start in range(0, len(data), step):
        with log.open("ab") as file:
            file.write(data[start : start + step])
        got += one.read()
        assert one.place == len(got.encode())
    assert got == text


def test_characters_over_the_border_of_a_chunk_come_whole(log, reader):
    text = "x" + "🚂" * CHUNK_BYTES
    log.write_text(text)
    assert read_all(reader()) == text


def test_what_is_no_utf_8_is_replaced_and_nothing_after_it_is_lost(log, reader):
    log.write_bytes(b"a\xff\xfeb\xe2\x82c\xf0\x9f\x9ad\0e")
    assert read_all(reader()) == "a\ufffd\ufffdb\ufffdc\ufffdd\0e"


def test_half_a_character_at_the_end_waits_until_nobody_writes_any_more(log, reader):
    log.write_bytes(b"a\xf0\x9f")
    one = reader()
    assert (read_all(one), one.place) == ("a", 1)
    assert (read_all(one, last=True), one.place) == ("\ufffd", 3)


def test_a_reader_may_begin_anywhere(log, reader):
    log.write_text("é" * 10)
    assert read_all(reader(4)) == "é" * 8
    assert read_all(reader(20)) == ""
    assert read_all(reader(3)) == "\ufffd" + "é" * 8


def test_a_log_that_was_emptied_is_begun_anew(log, reader):
    log.write_text("long ago\n")
    one = reader()
    read_all(one)
    log.write_text("now\n")
    assert (read_all(one), one.place) == ("now\n", 4)


def test_a_log_that_was_replaced_by_a_longer_one_is_begun_anew(log, reader, tmp_path):
    log.write_text("old\n")
    one = reader()
    read_all(one)
    (tmp_path / "other").write_text("this is another file\n")
    (tmp_path / "other").rename(log)
    assert read_all(one) == "this is another file\n"


def test_a_log_that_is_not_there_yet_is_read_when_it_comes(log, reader):
    one = reader()
    one.skip_to_tail(10)
    assert (one.read(), one.seen) == ("", False)
    log.write_text("here\n")
    assert (one.read(), one.seen) == ("here\n", True)


def test_nothing_that_only_looks_like_a_log_is_read(log, reader, tmp_path):
    """A stage owns its directory, and may not make the API read for it what the API alone can read."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "log.txt").write_text("secret")

    def seen():
        one = reader()
        return one.read(), one.seen

    log.symlink_to(secret / "log.txt")
    assert seen() == ("", False)
    log.unlink()
    os.mkfifo(log)
    assert seen() == ("", False)
    log.unlink()
    log.mkdir()
    assert seen() == ("", False)
    log.rmdir()
    for directory in (log.parent, log.parents[1], log.parents[2]):
        away = tmp_path / "away"
        directory.rename(away)
        target = secret if directory == log.parent else away
        directory.symlink_to(target)
        assert seen() == ("", False), directory
        directory.unlink()
        away.rename(directory)
