"""What a reader of all pipelines has had, and what it tells a client of it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.bookmark import BEGIN, KEY_MAX, Bookmark, common, cursor_at, read_cursor, write_cursor
from schemas.event import Event, PlacedEvent
from schemas.states import PipelineStatus

FLOORS = st.tuples(*(st.integers(low, high) for low, high in zip(BEGIN, KEY_MAX, strict=True)))


def placed(place: int, pipeline: int, seq: int) -> PlacedEvent:
    event = Event(id=str(seq), source="", type="stage.queued", subject="a", time=datetime.now(UTC), data={})
    return PlacedEvent(
        place=place, pipeline_id=pipeline, seq=seq, status=PipelineStatus.RUNNING, labels={}, event=event
    )


@given(FLOORS)
def test_a_cursor_tells_the_floor_and_nothing_else_reads_as_one(floor):
    cursor = write_cursor(floor)
    assert read_cursor(cursor) == floor
    assert cursor.isascii()
    assert len(cursor) <= 100
    assert read_cursor(cursor + "=") is None


@given(st.text(max_size=50))
def test_any_other_text_is_no_cursor_or_spells_one(text):
    floor = read_cursor(text)
    assert floor is None or write_cursor(floor) == text


def test_above_the_floor_it_is_a_matter_of_each_pipeline():
    bookmark = Bookmark((10, 0, 0), {7: (3, 12)})
    assert not bookmark.lacks(placed(9, 1, 1))
    assert bookmark.lacks(placed(10, 1, 1))
    assert not bookmark.lacks(placed(11, 7, 3))
    assert bookmark.lacks(placed(12, 7, 4))


def test_a_whole_answer_lifts_the_floor_to_the_settled_place_and_forgets_what_is_below():
    bookmark = Bookmark((5, 0, 0), {7: (3, 6)})
    bookmark.advance([placed(8, 1, 4), placed(9, 2, 1)], settled=9, complete=True)
    assert (bookmark.floor, bookmark.ahead) == ((9, 0, 0), {2: (1, 9)})


@pytest.mark.parametrize(("settled", "floor"), [(20, (9, 2, 1)), (9, (9, 0, 0)), (6, (6, 0, 0))])
def test_a_part_of_an_answer_lifts_it_no_further_than_it_goes(settled: int, floor):
    bookmark = Bookmark((5, 0, 0))
    bookmark.advance([placed(8, 1, 4), placed(9, 2, 1)], settled, complete=False)
    assert bookmark.floor == floor


def test_it_never_falls():
    bookmark = Bookmark((9, 0, 0))
    bookmark.advance([], settled=8, complete=True)
    assert bookmark.floor == (9, 0, 0)


def test_a_client_is_told_to_resume_behind_the_event_but_not_behind_what_may_still_come():
    assert read_cursor(cursor_at(placed(8, 1, 4), settled=9)) == (8, 1, 4)
    assert read_cursor(cursor_at(placed(9, 1, 4), settled=9)) == (9, 0, 0)


@given(st.data())
def test_what_is_common_to_several_is_what_all_of_them_have_had(data):
    marks = st.dictionaries(st.integers(1, 3), st.tuples(st.integers(1, 3), st.integers(0, 5)))
    bookmarks = data.draw(st.lists(st.builds(Bookmark, st.tuples(*[st.integers(0, 3)] * 3), marks), min_size=1))
    event = data.draw(st.builds(placed, *[st.integers(1, 4)] * 3))
    lacking = [bookmark.lacks(event) for bookmark in bookmarks]
    assert common(bookmarks).lacks(event) >= any(lacking)
    assert common(bookmarks[:1]).lacks(event) == lacking[0]


def test_copies_do_not_know_each_other():
    one = Bookmark((1, 0, 0), {1: (1, 1)})
    for other in (one.copy(), common([one])):
        other.advance([placed(5, 1, 2)], settled=1, complete=True)
        assert one.ahead == {1: (1, 1)}
