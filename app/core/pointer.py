"""JSON Pointers (RFC 6901)."""


def pointer(*steps: str | int) -> str:
    """The pointer that takes these steps from the root of the document: ``pointer("a/b", 0)`` is ``/a~1b/0``."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in steps)
