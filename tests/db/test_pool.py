"""Connections: what passes by itself is an outage, and no fault of whoever asks."""

import pytest

from app.db.pool import connection
from app.errors import Unavailable


async def test_a_standby_in_the_middle_of_a_failover_is_an_outage(pool):
    with pytest.raises(Unavailable):
        async with connection(pool) as c, c.transaction(readonly=True):
            await c.execute("UPDATE pipelines SET name = name")
