"""What Postgres really does for a call: the plans of all its statements, those inside functions too, as they were run."""

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import asyncpg

EXPLAIN = """
LOAD 'auto_explain';
SET auto_explain.log_min_duration = 0;
SET auto_explain.log_nested_statements = on;
SET auto_explain.log_analyze = on;
SET auto_explain.log_buffers = on;
SET auto_explain.log_timing = off;
SET auto_explain.log_format = json;
SET client_min_messages = log"""

Node = dict[str, Any]


async def explained(c: asyncpg.Connection, call: Callable[[], Awaitable[object]]) -> list[Node]:
    """Make the call in a transaction that is rolled back; return the plans of its statements."""
    messages: list[str] = []
    await c.execute(EXPLAIN)
    c.add_log_listener(listener := lambda _, message: messages.append(message.message))
    attempt = c.transaction()
    await attempt.start()
    try:
        await call()
    finally:
        await attempt.rollback()
        c.remove_log_listener(listener)
        await c.execute("SET client_min_messages = notice")
    return [json.loads(text[text.index("{") :]) for text in messages if "plan:" in text]


def nodes(plan: Node) -> Iterator[Node]:
    """All nodes of a plan."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def scans(plans: list[Node], tables: tuple[str, ...]) -> list[str]:
    """Where one of these tables is read from end to end: the table and the statement."""
    return [
        f"{node['Relation Name']}: {plan['Query Text']}"
        for plan in plans
        for node in nodes(plan["Plan"])
        if node["Node Type"] == "Seq Scan" and node["Relation Name"] in tables
    ]


def blocks(plans: list[Node]) -> int:
    """How many blocks the call has looked at; that of the statements inside is included in the outermost."""
    return max(plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"] for plan in plans)
