"""Moments that clients name."""

from datetime import UTC, datetime

from msgspec import UNSET, UnsetType

from app.errors import InvalidRequest
from schemas.problem import Fault


def require_calendar(**moments: datetime | UnsetType | None) -> None:
    """Refuse a moment that its time zone moves out of the years 1 to 9999.

    Raises:
        InvalidRequest: it is beyond the calendar.

    """
    for name, moment in moments.items():
        try:
            _ = moment is UNSET or moment is None or moment.astimezone(UTC)
        except OverflowError:
            detail = f"{name} is beyond the calendar"
            raise InvalidRequest(detail, faults=(Fault("invalid_value", detail),)) from None
