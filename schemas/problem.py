"""Errors as the API answers them: RFC 9457 problem documents."""

from msgspec import Struct


class Fault(Struct, frozen=True, omit_defaults=True):
    """One thing wrong with a request; ``pointer`` is the JSON Pointer (RFC 6901) to it in the body."""

    code: str
    detail: str
    pointer: str | None = None


class Problem(Struct, kw_only=True, omit_defaults=True):
    """What went wrong. ``errors`` names each fault, with a JSON Pointer into the body where that applies."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    errors: list[Fault] = []
