"""Cleaning a table: what is left is fit to train on, what is not is counted or refused."""

from dataclasses import dataclass

import polars as pl

from workers.training.run import NotRetryable

CLASSES_MAX = 200
ROWS_PER_CLASS_MIN = 3
"""One for each of train, val and test."""
CLASS_NAME_MAX = 200
COMPLAINTS_MAX = 5


@dataclass(frozen=True)
class CleanTable:
    """Distinct samples: float features, and the target as numbers of ``classes``."""

    rows: pl.DataFrame
    classes: list[str]
    duplicates_removed: int
    invalid_removed: int


def clean_table(table: pl.DataFrame, target: str) -> CleanTable:
    """Remove the rows that cannot be used and number the classes.

    Raises:
        NotRetryable: the target is missing or is no class, a feature is not numeric, or too little is left.

    """
    if target not in table.columns:
        columns = _some([repr(name) for name in table.columns])
        raise NotRetryable(f"there is no target column {target!r}; the columns are {columns}")
    features = [name for name in table.columns if name != target]
    if not features:
        raise NotRetryable(f"there are no feature columns beside the target {target!r}")
    numeric = table.select(*_numbers(table, features), _class_values(table[target]))
    usable = pl.all_horizontal(pl.col(features).is_finite(), pl.col(target).is_not_null())
    valid = numeric.filter(usable.fill_null(value=False))
    if valid.is_empty():
        worst = min(features, key=lambda name: numeric[name].is_finite().sum())
        raise NotRetryable(
            f"no row is usable: each has an empty, NaN or infinite value, most often in column {worst!r}"
        )
    distinct = valid.unique(subset=features, keep="first", maintain_order=True)
    classes = distinct[target].unique().sort()
    _check_classes(distinct[target], classes)
    names = classes.cast(pl.String)
    numbered = distinct.with_columns(pl.col(target).replace_strict(classes, pl.arange(len(classes), eager=True)))
    return CleanTable(numbered, names.to_list(), len(valid) - len(distinct), len(table) - len(valid))


def _numbers(table: pl.DataFrame, names: list[str]) -> list[pl.Series]:
    complaints, columns = [], []
    for name in names:
        column, number = table[name], _as_float(table[name])
        bad = (number.is_null() & column.is_not_null()).arg_true()
        if len(bad):
            first = f"row {bad[0] + 1}: {str(column[bad[0]])[:40]!r}"
            complaints.append(f"column {name!r}: {len(bad)} of {len(column)} rows are not numbers (first at {first})")
        columns.append(number)
    if complaints:
        raise NotRetryable(_some(complaints, separator="; "))
    return columns


def _as_float(column: pl.Series) -> pl.Series:
    """Cast to float; what is no number becomes null."""
    if column.dtype.is_numeric() or column.dtype in {pl.Boolean, pl.String}:
        text = column.str.strip_chars() if column.dtype == pl.String else column
        return text.cast(pl.Float64, strict=False)
    return pl.Series(column.name, [None] * len(column), dtype=pl.Float64)


def _class_values(column: pl.Series) -> pl.Series:
    if column.dtype.is_float():
        column = column.fill_nan(None)
        if (column.is_infinite() | (column != column.floor())).any():
            raise NotRetryable(f"the target {column.name!r} holds fractional numbers, which are no classes")
        return column.cast(pl.Int64)
    if column.dtype.is_nested() or column.dtype.is_temporal() or column.dtype in {pl.Binary, pl.Object, pl.Null}:
        raise NotRetryable(f"the target {column.name!r} holds {column.dtype} values, which are no classes")
    return column if column.dtype.is_integer() else column.cast(pl.String)


def _check_classes(labels: pl.Series, classes: pl.Series) -> None:
    if len(classes) == 1:
        raise NotRetryable(f"all {len(labels)} rows are of one class, {classes[0]!r}: there is nothing to learn")
    if len(classes) > CLASSES_MAX:
        raise NotRetryable(
            f"the target {labels.name!r} has {len(classes)} different values, more than {CLASSES_MAX}: is it a class?",
        )
    if (classes.cast(pl.String).str.len_chars() > CLASS_NAME_MAX).any():
        raise NotRetryable(
            f"the target {labels.name!r} has values of more than {CLASS_NAME_MAX} characters: is it a class?"
        )
    counts = labels.value_counts().sort("count", labels.name)
    value, count = counts.row(0)
    if count < ROWS_PER_CLASS_MIN:
        raise NotRetryable(
            f"class {value!r} needs {ROWS_PER_CLASS_MIN} usable rows, for train, val and test; the table has {count}",
        )


def _some(texts: list[str], separator: str = ", ") -> str:
    more = f"{separator}and {len(texts) - COMPLAINTS_MAX} more" if len(texts) > COMPLAINTS_MAX else ""
    return separator.join(texts[:COMPLAINTS_MAX]) + more
