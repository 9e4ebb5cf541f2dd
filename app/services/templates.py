"""Templates: store versions, look at them, and make pipelines of them."""

from collections.abc import Mapping

from app.core.built_in_templates import BUILT_IN
from app.core.characters import is_name
from app.core.cursor import NameKey, read_cursor, write_cursor
from app.core.plan import Plan, refusal_of
from app.core.template import plan_template, template_faults
from app.core.wording import did_you_mean, quoted
from app.db import templates as db
from app.db.pool import Pool, connection
from app.errors import Conflict, NotFound
from app.services import tasks
from app.services.pipelines import DEFAULT_PROJECT
from schemas.task import TaskType
from schemas.template import Submission, Template, TemplatePage, TemplateSpec, TemplateSummary


async def create(pool: Pool, spec: TemplateSpec, *, project: str = DEFAULT_PROJECT) -> tuple[Template, bool]:
    """Store the next version; or find the newest, and False, if it is the same.

    Raises:
        InvalidRequest: it could never become a pipeline.
        Conflict: a built-in template has that name.

    """
    if spec.name in BUILT_IN:
        raise Conflict(f"{quoted(spec.name)} is built in; choose another name.")
    if faults := tuple(template_faults(spec, await tasks.registered(pool, project))):
        raise refusal_of(faults)
    async with connection(pool) as c:
        stored = await db.create(c, project, spec)
    return await get(pool, spec.name, stored.version, project=project), stored.is_new


async def get(pool: Pool, name: str, version: int | None = None, *, project: str = DEFAULT_PROJECT) -> Template:
    """One version of a template, the newest unless one is named.

    Raises:
        NotFound: there is no such one.

    """
    found = BUILT_IN.get(name)
    if found is None and is_name(name):
        async with connection(pool) as c:
            found = await db.get(c, project, name, version)
    elif found and version not in {None, found.version}:
        found = None
    if found is None:
        which = "" if version is None else f"version {version} of a "
        guess = None if name in BUILT_IN else did_you_mean(name, list(BUILT_IN))
        raise NotFound(f"There is no {which}template {quoted(name)}{guess or '.'}")
    return found


async def list_page(
    pool: Pool, *, cursor: str | None = None, limit: int, project: str = DEFAULT_PROJECT
) -> TemplatePage:
    """One page of templates, by name, those that are built in included.

    Raises:
        InvalidRequest: the cursor is none of ours.

    """
    after = "" if cursor is None else read_cursor(cursor, NameKey).name
    async with connection(pool) as c:
        found = await db.page(c, project, after, limit + 1)
    found += [_summary(template) for name, template in BUILT_IN.items() if name > after]
    shown = sorted(found, key=lambda each: each.name)[:limit]
    return TemplatePage(items=shown, next_cursor=write_cursor(NameKey(shown[-1].name)) if len(found) > limit else None)


async def planned(
    pool: Pool, name: str, submission: Submission, *, stages_max: int, project: str = DEFAULT_PROJECT
) -> Plan:
    """What a submission would store.

    Raises:
        NotFound: there is no such template, or version.
        InvalidRequest: the params do not fit, or what they make of it.

    """
    template = await get(pool, name, submission.version, project=project)
    types: Mapping[str, TaskType] = await tasks.registered(pool, project)
    return plan_template(template, submission, types, stages_max=stages_max)


def _summary(template: Template) -> TemplateSummary:
    return TemplateSummary(
        name=template.name,
        version=template.version,
        description=template.description,
        built_in=template.built_in,
        created_at=template.created_at,
    )
