"""Templates: store versions, look at them, and submit pipelines from them."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from app.client.http import Http
from schemas.limits import PAGE_DEFAULT
from schemas.pipeline import DryRun, Pipeline
from schemas.template import Template, TemplatePage

PATH = "/api/v1/templates"


class Templates:
    """``client.templates``. What takes a name raises ApiError 404 when there is no such template, or version."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def list(self, *, limit: int = PAGE_DEFAULT, cursor: str | None = None) -> TemplatePage:
        """One page of templates, by name, each with its newest version."""
        return await self._http.get(PATH, TemplatePage, limit=limit, cursor=cursor)

    async def get(self, name: str, version: int | None = None) -> Template:
        """One version, the newest unless one is named."""
        return await self._http.get(f"{PATH}/{name}", Template, version=version)

    async def create(self, spec: Mapping[str, Any]) -> Template:
        """Store the next version, unless the newest one is the same; the answer says which it is."""
        return await self._http.send("POST", PATH, Template, spec)

    async def submit(self, name: str, submission: Mapping[str, Any], *, idempotency_key: str | None = None) -> Pipeline:
        """Submit a pipeline; ``submission`` is the body as the API documents it. Repeated like ``pipelines.create``."""
        key = idempotency_key or str(uuid4())
        return await self._http.create(f"{PATH}/{name}/pipelines", submission, Pipeline, key=key)

    async def check(self, name: str, submission: Mapping[str, Any]) -> DryRun:
        """Validate a submission without storing anything; the answer is its plan."""
        return await self._http.send("POST", f"{PATH}/{name}/pipelines", DryRun, submission, dry_run=True)
