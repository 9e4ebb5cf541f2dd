"""What one client of a stream is given."""

import asyncio
from uuid import uuid4

from app.subscription import FRAMES_MAX, Outbox, Subscription

FRAMES = [(seq, b"%d\n" % seq) for seq in range(1, FRAMES_MAX + 3)]


async def test_a_client_without_room_is_behind_and_gets_the_rest_later():
    client = Subscription(uuid4(), after=1)
    client.give(FRAMES, complete=True)
    assert (client.behind, client.ended, client.seq) == (True, False, FRAMES_MAX + 1)
    first = await client.take(1)
    client.give(FRAMES, complete=True)
    rest = await client.take(1)
    assert first + rest.partition(b"event: end")[0] == b"".join(data for _, data in FRAMES[1:])
    assert client.ended
    assert await client.take(1) is None
    assert await client.take(1) is None


async def test_nothing_to_take_in_time_is_told_from_the_end():
    client = Subscription(uuid4(), after=0)
    assert await client.take(0.01) == b""
    client.end()
    assert await client.take(0.01) is None
    assert not client.has_room


async def test_a_frame_that_comes_with_the_timeout_is_taken():
    """Else a heartbeat would say that it had been sent."""
    client = Outbox()
    taking = asyncio.create_task(client.take(0))
    await asyncio.sleep(0)
    client.put(b"frame")
    assert await taking == b"frame"
