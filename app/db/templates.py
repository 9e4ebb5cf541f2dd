"""Templates: versions stored, read, listed."""

import msgspec
from msgspec import Struct

from app.db.pool import Connection
from app.db.queries import load
from schemas.template import Template, TemplateSpec, TemplateSummary

SQL = load("templates")


class Stored(Struct, frozen=True):
    """Under which version a template is stored; not new if the newest version was the same already."""

    version: int
    is_new: bool


async def create(c: Connection, project: str, spec: TemplateSpec) -> Stored:
    """Store the next version of a template."""
    answer = await c.fetchval(SQL["create"], project, msgspec.json.encode(spec).decode())
    return msgspec.json.decode(answer, type=Stored)


async def get(c: Connection, project: str, name: str, version: int | None) -> Template | None:
    """One version, the newest if none is named; None if there is no such one."""
    found = await c.fetchval(SQL["get"], project, name, version)
    return None if found is None else msgspec.json.decode(found, type=Template)


async def page(c: Connection, project: str, after: str, limit: int) -> list[TemplateSummary]:
    """At most ``limit`` templates behind a name, by name."""
    return msgspec.json.decode(await c.fetchval(SQL["page"], project, after, limit), type=list[TemplateSummary])
