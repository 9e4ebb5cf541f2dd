"""``headway failures``: why tasks fail."""

from datetime import datetime
from uuid import UUID

from cyclopts import App

from app.commands import exits
from app.commands.calls import connect, enough, tell_more
from app.commands.terminal import OutputOption, is_wide, one_line, print_json, print_line, print_table
from app.commands.wording import age
from schemas.diagnosis import Category
from schemas.failure import FailurePage

WIDE = 120

failures = App(name="failures", help="List why tasks fail, and what to do about it.")


@failures.default
@failures.command(name="ls")
async def list_failures(
    *,
    category: Category | None = None,
    task: str | None = None,
    pipeline: UUID | None = None,
    seen_after: datetime | None = None,
    seen_before: datetime | None = None,
    limit: int = 20,
    cursor: str | None = None,
    output: OutputOption = "table",
) -> int:
    """List kinds of failures, those seen last first; all filters must match.

    Args:
        category: Only those of this category.
        task: Only those of this task type.
        pipeline: Only those of the pipeline with this uuid.
        seen_after: Count only what failed since then; without a time zone it is local time.
        seen_before: Count only what failed before then.
        limit: At most so many kinds.
        cursor: Go on behind a list that said so.
        output: "json" prints the page as the API answers it.

    """
    async with connect() as client:
        page = await enough(
            lambda count, place: client.failures.list(
                category=category,
                task=task,
                pipeline=pipeline,
                seen_after=seen_after and seen_after.astimezone(),
                seen_before=seen_before and seen_before.astimezone(),
                limit=count,
                cursor=place,
            ),
            limit,
            cursor,
        )
    if output == "json":
        print_json(page)
    else:
        _draw(page)
        tell_more(page.next_cursor)
    return exits.COMPLETED


def _draw(page: FailurePage) -> None:
    """A line for each kind, and below the table what to do about each category."""
    rows = [
        (each.category, each.count, age(each.last_seen), each.outlook, ", ".join(each.tasks), each.root_line)
        for each in page.items
    ]
    if is_wide(WIDE):
        print_table("category, count, last, outlook, tasks, root line", rows, flexible="tasks, root line")
    else:
        narrow = [(category, count, last, line) for category, count, last, _, _, line in rows]
        print_table("category, count, last, root line", narrow, flexible="root line")
    for each in page.items:
        ids = f" (task {each.task_ids[0]})" if each.task_ids else ""
        print_line(one_line(f"{each.category}{ids}: {each.remedy}"))
