"""What Postgres really does for a call: the plans of all its statements, inside functions too, and what it reads."""

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import asyncpg

EXPLAIN = """
LOAD 'auto_explain';
SET auto_explain.log_min_duration = 0;
SET auto_explain.log_nested_statements = on;
SET auto_explain.log_format = json;
SET client_min_messages = log"""
ANALYZE = "SET auto_explain.log_analyze = {}"
READ = """
SELECT relname, pg_stat_get_xact_blocks_fetched(oid) AS blocks FROM pg_class
 WHERE relnamespace = 'public'::regnamespace AND pg_stat_get_xact_blocks_fetched(oid) > 0"""

Node = dict[str, Any]
Question = Callable[[asyncpg.Connection], Awaitable[Any]]


async def plans(c: asyncpg.Connection, question: Question, *, analyze: bool = False) -> list[Node]:
    """Ask in a transaction that is rolled back; return the plans of all statements, those inside functions first.

    ``analyze``: with what each node has really done.
    """
    messages: list[str] = []
    await c.execute(EXPLAIN)
    await c.execute(ANALYZE.format(analyze))
    c.add_log_listener(listener := lambda _, message: messages.append(message.message))
    attempt = c.transaction()
    await attempt.start()
    try:
        await question(c)
    finally:
        await attempt.rollback()
        c.remove_log_listener(listener)
        await c.execute("RESET client_min_messages")
    return [json.loads(text[text.index("{") :]) for text in messages if "plan:" in text]


def scans(explained: list[Node], tables: tuple[str, ...]) -> list[str]:
    """Where one of these tables is read from end to end: the table and the statement."""
    return [
        f"{node['Relation Name']}: {each['Query Text']}"
        for each in explained
        for node in nodes(each["Plan"])
        if node["Node Type"] == "Seq Scan" and node["Relation Name"] in tables
    ]


def nodes(plan: Node) -> Iterator[Node]:
    """All nodes of a plan."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


async def blocks_read(c: asyncpg.Connection, question: Question) -> tuple[dict[str, int], Any]:
    """How many blocks of each table and index an answer takes, and the answer; in a transaction that is rolled back."""
    attempt = c.transaction()
    await attempt.start()
    try:
        before = dict(await c.fetch(READ))
        answer = await question(c)
        after = dict(await c.fetch(READ))
    finally:
        await attempt.rollback()
    read = {name: blocks - before.get(name, 0) for name, blocks in after.items()}
    return {name: blocks for name, blocks in read.items() if blocks}, answer
