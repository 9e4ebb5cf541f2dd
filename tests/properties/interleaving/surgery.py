"""Change the functions of a database that is only there to be tested.

``make_patient``: the functions give up on a lock after 100 ms or 2 s. Here a lock is held for as many steps as a
schedule wants, however slow the machine is: with the real limits a call would give up in one run and get its lock in
the next, and no schedule could be played twice. The real limits have tests of their own:
``tests/services/test_stuck_clients.py`` and ``tests/db/test_locks.py``.
"""

from app.db.pool import Connection

FUNCTION = "SELECT pg_get_functiondef($1::regproc)"
IMPATIENT = """
SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosrc LIKE '%lock_timeout%'"""
LIMITS = ("'2s'", "'100ms'")
LONG = "'10min'"


async def replace(c: Connection, function: str, *changes: tuple[str, str]) -> None:
    """Put a text in the place of another in the body of a function; it must be there."""
    definition = await c.fetchval(FUNCTION, function)
    for old, new in changes:
        assert old in definition, f"there is no {old!r} in {function}"
        definition = definition.replace(old, new)
    await c.execute(definition)


async def make_patient(c: Connection) -> None:
    """Give every function that waits for a lock all the time in the world."""
    for row in await c.fetch(IMPATIENT):
        definition = await c.fetchval(FUNCTION, row["proname"])
        await replace(c, row["proname"], *((limit, LONG) for limit in LIMITS if limit in definition))
