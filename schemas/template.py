"""Templates: named, versioned pipeline definitions with typed params."""

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct, field

from schemas import limits
from schemas.pipeline import Description, Labels, PipelineName, Priority

TemplateName = Annotated[
    str, Meta(pattern=limits.STAGE_NAME_PATTERN, max_length=limits.STAGE_NAME_MAX, description="as a stage is named")
]
Version = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class TemplateSpec(Struct, forbid_unknown_fields=True):
    """A template as a client writes it.

    ``pipeline`` is the body of a create call in which any whole value may be ``{"from": "params.epochs"}``: the param
    takes its place when a pipeline is submitted, and a param that was not given leaves its key out. It may have a
    ``uuid`` besides, which the pipeline then has: submitting it again gives the same pipeline. ``params_schema`` is a
    JSON Schema of an object; the defaults of its properties fill in what was not given.
    """

    name: TemplateName
    pipeline: dict[str, Any]
    description: Description = ""
    params_schema: dict[str, Any] = field(default_factory=dict)


class Submission(Struct, forbid_unknown_fields=True):
    """The body of a submit call: params for a template, and what is to be different from what it says.

    ``labels`` come on top of the template's.
    """

    params: dict[str, Any] = field(default_factory=dict)
    version: Version | None = None
    name: PipelineName | None = None
    priority: Priority | None = None
    labels: Labels = field(default_factory=dict)
    start: bool = True


class TemplateSummary(Struct, kw_only=True):
    """One line of a list of templates: the newest version. Those that are built in come with Headway."""

    name: str
    version: int
    description: str
    built_in: bool
    created_at: datetime | None


class Template(TemplateSummary, kw_only=True):
    """One version of a template."""

    params_schema: dict[str, Any]
    pipeline: dict[str, Any]


class TemplatePage(Struct, kw_only=True):
    """One page of templates, by name; ``next_cursor`` is null on the last one."""

    items: list[TemplateSummary]
    next_cursor: str | None
