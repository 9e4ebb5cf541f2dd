"""``/docs``: the OpenAPI document as one plain page that asks nobody else for anything."""

from html import escape
from typing import Any

import msgspec
from litestar import Request, get
from litestar.enums import MediaType
from litestar.response import Redirect

from app.api.openapi import document

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Headway API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 54rem; margin: 2rem auto; padding: 0 1rem }}
h2 {{ font-size: 1.1rem; border-top: 1px solid #8888; padding-top: 1rem }}
pre {{ background: #8881; padding: .75rem; overflow-x: auto; font-size: .85rem }}
:root {{ color-scheme: light dark }}
</style></head><body>
<h1>Headway API {version}</h1>
<p>{description} The exact contract, for tools, is the OpenAPI document at <a href="/schema/openapi.json">/schema</a>.
{bearer}</p>
{operations}
<h2>Errors</h2><p>Everything that is not 2xx is <code>application/problem+json</code>:</p>{problem}
</body></html>
"""


@get("/", include_in_schema=False)
async def root() -> Redirect:
    """Lead whoever looks what answers here to the documentation. Needs the token when one is set."""
    return Redirect("/docs", status_code=307)


@get("/docs", include_in_schema=False, media_type=MediaType.HTML)
async def docs(request: Request[Any, Any, Any]) -> str:
    """Show every operation with its parameters and examples. Needs the token when one is set."""
    contract = document(request.app)
    components = contract["components"]
    return PAGE.format(
        version=escape(contract["info"]["version"]),
        description=escape(contract["info"]["description"]),
        bearer=escape(components["securitySchemes"]["bearer"]["description"]),
        operations="\n".join(
            _operation(method, path, operation)
            for path, operations in contract["paths"].items()
            for method, operation in operations.items()
        ),
        problem=_examples(components["responses"]["Problem"]),
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    parts = [
        f"<h2><code>{method.upper()} {escape(path)}</code> {escape(operation['summary'])}</h2>",
        f"<p>{escape(operation['description'])}</p>",
        _parameters(operation.get("parameters", [])),
        _examples(operation.get("requestBody", {})),
    ]
    for status, answer in operation["responses"].items():
        if status != "default":
            parts.append(f"<p>{status}: {escape(answer['description'])}</p>{_examples(answer)}")
    return "\n".join(part for part in parts if part)


def _parameters(parameters: list[dict[str, Any]]) -> str:
    rows = [
        f"<li><code>{escape(each['name'])}</code> ({escape(each['in'])}) {escape(each.get('description', ''))}</li>"
        for each in parameters
    ]
    return f"<ul>{''.join(rows)}</ul>" if rows else ""


def _examples(part: dict[str, Any]) -> str:
    shown = [content["example"] for content in part.get("content", {}).values() if "example" in content]
    return "".join(f"<pre>{escape(_text(example))}</pre>" for example in shown)


def _text(example: Any) -> str:
    return example if isinstance(example, str) else msgspec.json.format(msgspec.json.encode(example)).decode()
