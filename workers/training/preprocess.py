"""The program of ``preprocess_dataset``: a table in, a prepared dataset out.

No row may help to judge what it helped to train: rows with the same features are duplicates, whatever their class
says, and go before the split. The split takes its shares from every class; the same seed gives the same files.
"""

import logging
import sys
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from schemas.training import PreprocessParams, PreprocessResult
from workers.training import run
from workers.training.artifact import MANIFEST, publish, read_manifest
from workers.training.clean import CleanTable, clean_table
from workers.training.dataset import SPLITS, DatasetManifest
from workers.training.source import read_table

log = logging.getLogger(__name__)


def preprocess() -> None:
    """Read, clean, split and write, as the params say."""
    params = msgspec.convert(run.params(), PreprocessParams)
    run.phase("read")
    table = read_table(params.dataset)
    run.progress(step=1, total=3)
    run.phase("clean")
    clean = clean_table(table, params.target)
    log.info("%d rows read, %d left", len(table), len(clean.rows))
    run.progress(step=2, total=3)
    run.phase("write")
    directory = run.run_dir() / "dataset"
    splits = split_rows(clean, params)
    manifest = write_dataset(directory, clean, splits, params, source_rows=len(table))
    run.progress(step=3, total=3)
    result = PreprocessResult(
        dataset=str(directory),
        manifest=str(directory / MANIFEST),
        rows=manifest.rows,
        features=len(manifest.features),
        classes=manifest.classes,
        duplicates_removed=manifest.duplicates_removed,
        invalid_removed=manifest.invalid_removed,
        sha256={name: file.sha256 for name, file in manifest.files.items()},
    )
    run.result(**msgspec.to_builtins(result))


def split_rows(table: CleanTable, params: PreprocessParams) -> dict[str, pl.DataFrame]:
    """Share out the rows of each class by the seed: at least one to every split."""
    chance = np.random.default_rng(params.seed)
    labels = table.rows[params.target].to_numpy()
    chosen: dict[str, list[NDArray[np.intp]]] = {name: [] for name in SPLITS}
    for number in range(len(table.classes)):
        order = chance.permutation(np.flatnonzero(labels == number))
        test = min(max(1, round(len(order) * params.test_share)), len(order) - 2)
        val = min(max(1, round(len(order) * params.val_share)), len(order) - 1 - test)
        chosen["test"].append(order[:test])
        chosen["val"].append(order[test : test + val])
        chosen["train"].append(order[test + val :])
    return {name: table.rows[np.sort(np.concatenate(parts))] for name, parts in chosen.items()}


def write_dataset(
    directory: Path,
    clean: CleanTable,
    splits: dict[str, pl.DataFrame],
    params: PreprocessParams,
    *,
    source_rows: int,
) -> DatasetManifest:
    """Write the splits as Parquet files that are all there or not at all, and return their manifest."""

    def write(into: Path) -> None:
        for name, rows in splits.items():
            rows.write_parquet(into / f"{name}.parquet")

    about = {
        "source": params.dataset,
        "target": params.target,
        "seed": params.seed,
        "features": [name for name in clean.rows.columns if name != params.target],
        "classes": clean.classes,
        "rows": {"source": source_rows} | {name: len(rows) for name, rows in splits.items()},
        "duplicates_removed": clean.duplicates_removed,
        "invalid_removed": clean.invalid_removed,
    }
    publish(directory, write, about)
    return read_manifest(directory, DatasetManifest)


if __name__ == "__main__":
    sys.exit(run.main(preprocess))
