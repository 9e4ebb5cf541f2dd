"""Idempotency keys: a create call that may be repeated until it is answered."""

from msgspec import Struct


class IdempotencyKey(Struct, frozen=True):
    """A client's name for one request, and a fingerprint that tells whether it is that request which is repeated."""

    key: str
    fingerprint: bytes
