"""Prepared datasets: what ``preprocess`` writes, and ``train`` and ``evaluate`` read."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workers.training.artifact import Manifest, Torn, read_manifest
from workers.training.run import NotRetryable

SPLITS = ("train", "val", "test")


class DatasetManifest(Manifest, kw_only=True):
    """What a prepared dataset holds: ``{train,val,test}.parquet``, labels as numbers of ``classes``."""

    source: str
    target: str
    seed: int
    features: list[str]
    classes: list[str]
    rows: dict[str, int]
    duplicates_removed: int
    invalid_removed: int


@dataclass(frozen=True)
class Split:
    """The samples of one split."""

    features: NDArray[np.float64]
    """samples x features"""
    labels: NDArray[np.int64]
    """samples; each the number of a class"""


@dataclass(frozen=True)
class Dataset:
    """A prepared dataset whose files are what its manifest says."""

    directory: Path
    manifest: DatasetManifest

    def split(self, name: str) -> Split:
        """Read one of ``SPLITS`` into memory."""
        table = pl.read_parquet(self.directory / f"{name}.parquet", glob=False)
        features = table.select(self.manifest.features).to_numpy().astype(np.float64)
        return Split(np.ascontiguousarray(features), table[self.manifest.target].to_numpy().astype(np.int64))


def open_dataset(directory: str) -> Dataset:
    """Open what ``preprocess`` wrote.

    Raises:
        NotRetryable: the directory is no prepared dataset, or a file in it was changed or damaged.

    """
    try:
        return Dataset(Path(directory), read_manifest(Path(directory), DatasetManifest))
    except Torn as torn:
        raise NotRetryable(f"{directory} is not a dataset that preprocess_dataset prepared: {torn}") from torn
