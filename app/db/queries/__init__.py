"""Named SQL: ``load("stages")`` reads ``stages.sql`` and returns its ``-- name: …`` blocks by name."""

from importlib.resources import files


def load(noun: str) -> dict[str, str]:
    """Return the statements of one file; a name that is asked for and missing fails at import, not in production."""
    text = (files(__package__) / f"{noun}.sql").read_text("utf-8")
    blocks = text.split("-- name: ")[1:]
    return {name.strip(): sql.strip() for name, _, sql in (block.partition("\n") for block in blocks)}
