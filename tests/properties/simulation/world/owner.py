"""Whoever runs code: a process that may crash, be suspended, or be cut off from Postgres."""

from collections.abc import Generator
from typing import Any

Body = Generator[float | None, None, Any]
"""Code of the hostile world. It yields seconds to wait, or None to sleep until it is woken; between two yields nothing
else happens, and at each of them its owner may crash."""


class Owner:
    """One incarnation of a process."""

    __slots__ = ("crash_fault", "cut_off_until", "gone", "name", "resumes_at", "troubled_at")

    def __init__(self, name: str, crash_fault: str | None = None) -> None:
        self.name = name
        self.crash_fault = crash_fault  # the fault that may end it at any step, or None for an immortal
        self.gone = False
        self.resumes_at = 0.0  # suspended (SIGSTOP) until then
        self.cut_off_until = 0.0  # from Postgres, alone
        self.troubled_at = -1e9  # when something befell it that did not befall everybody

    def on_end(self) -> None:
        """It has crashed or left."""


class Thread:
    """A body and when it is due: ``due`` numbers its one valid entry in the world's agenda."""

    __slots__ = ("body", "due", "owner")

    def __init__(self, owner: Owner, body: Body) -> None:
        self.owner = owner
        self.body = body
        self.due = 0
