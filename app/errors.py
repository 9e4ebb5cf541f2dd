"""The error family: a stable code, a sentence for people, and where in the request it went wrong."""

from typing import Any, ClassVar

from schemas.problem import Fault


class HeadwayError(Exception):
    """Base of the errors that users see; ``str(error)`` is the sentence that says what to do."""

    code = "internal"
    status = 500
    title = "Internal error"

    def __init__(self, detail: str, *, faults: tuple[Fault, ...] = (), **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.faults = faults
        self.extra = extra


class InvalidRequest(HeadwayError):
    """The request is well-formed but says something impossible."""

    code = "validation_failed"
    status = 422
    title = "Request is not valid"


class MalformedRequest(HeadwayError):
    """The request cannot be read at all."""

    code = "malformed_request"
    status = 400
    title = "Request cannot be read"


class TooLarge(HeadwayError):
    """The request is over a size limit."""

    code = "too_large"
    status = 413
    title = "Request is too large"


class Unauthorized(HeadwayError):
    """No valid bearer token came with the request."""

    code = "unauthorized"
    status = 401
    title = "Authentication is required"


class NotFound(HeadwayError):
    """Nothing has that id."""

    code = "not_found"
    status = 404
    title = "Not found"


class Conflict(HeadwayError):
    """The call does not fit the present state."""

    code = "state_conflict"
    status = 409
    title = "The call does not fit the present state"


class Gone(HeadwayError):
    """It was there, and has been deleted."""

    code = "gone"
    status = 410
    title = "No longer there"


class KeyInvalid(InvalidRequest):
    """An Idempotency-Key has 1 to 255 visible ASCII characters, and there is one at most."""

    code = "idempotency_key_invalid"
    title = "The idempotency key is not valid"


class KeyReused(InvalidRequest):
    """The Idempotency-Key came with another request in the last 24 hours; a new request needs a new key."""

    code = "idempotency_key_reused"
    title = "The idempotency key belongs to another request"


class KeyInFlight(Conflict):
    """A request with this Idempotency-Key is being worked on; repeat it in a moment to hear what came of it."""

    code = "idempotency_key_in_flight"
    title = "The same request is being worked on"
    headers: ClassVar = {"Retry-After": "1"}


class Unavailable(HeadwayError):
    """A server that Headway needs does not answer; the same call may work in a moment."""

    code = "unavailable"
    status = 503
    title = "Temporarily unavailable"


class SetupError(HeadwayError):
    """Headway cannot start the way it is configured."""

    code = "setup"
    title = "Headway cannot start"
