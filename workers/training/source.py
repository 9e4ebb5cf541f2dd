"""Reading the user's table, whatever it is, and saying clearly what is wrong with it."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from workers.training.run import NotRetryable

DIGITS = "builtin:digits"


def read_table(source: str) -> pl.DataFrame:
    """Return the table that ``source`` names, one row per sample.

    Args:
        source: ``builtin:digits`` (8x8 grey images of handwritten digits, 64 pixel columns and ``label``), or the
            path of a file whose suffix tells its format.

    Raises:
        NotRetryable: there is no such file, its format is unknown, or it does not hold a table.

    """
    table = _digits() if source == DIGITS else _read_file(Path(source))
    if table.is_empty():
        raise NotRetryable(f"{source} is empty: it has no rows")
    return table


def _digits() -> pl.DataFrame:
    from sklearn.datasets import load_digits  # noqa: PLC0415 - a second of imports that only this source needs.

    digits = load_digits()
    return pl.DataFrame(digits.data, schema=digits.feature_names).with_columns(label=pl.Series(digits.target))


def _read_csv(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, infer_schema_length=None, glob=False)


def _read_parquet(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path, glob=False)


def _read_json_lines(path: Path) -> pl.DataFrame:
    return pl.read_ndjson(path, infer_schema_length=None)


READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    ".csv": _read_csv,
    ".parquet": _read_parquet,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
}


def _read_file(path: Path) -> pl.DataFrame:
    if path.is_dir():
        raise NotRetryable(f"{path} is a directory, not a file with a table")
    if not path.is_file():
        raise NotRetryable(
            f"there is no file {path} (a relative path starts at the run directory: give an absolute one)"
        )
    if path.suffix not in READERS:
        raise NotRetryable(f"{path} has an unknown format: its name must end in {', '.join(READERS)}")
    if path.stat().st_size == 0:
        raise NotRetryable(f"{path} is empty: it has no bytes")
    try:
        return READERS[path.suffix](path)
    except (pl.exceptions.PolarsError, PermissionError) as unreadable:
        reason = str(unreadable).partition("\n")[0]
        raise NotRetryable(f"{path} cannot be read as {path.suffix[1:]}: {reason}") from unreadable
