"""What `preprocess_dataset` makes of a table, and how it says no."""

import hashlib
import json
import re
from pathlib import Path

import polars as pl
import pytest

from workers.training.clean import clean_table
from workers.training.run import NotRetryable
from workers.training.source import read_table

SPLITS = ("train", "val", "test")


def flowers(rows_per_class: int = 20) -> pl.DataFrame:
    """Three classes, no row like another."""
    count = 3 * rows_per_class
    return pl.DataFrame(
        {
            "petal": [float(n) for n in range(count)],
            "sepal": [n % 7 for n in range(count)],
            "label": [("iris", "lily", "rose")[n % 3] for n in range(count)],
        },
    )


def read_splits(dataset: str) -> dict[str, pl.DataFrame]:
    return {name: pl.read_parquet(Path(dataset) / f"{name}.parquet") for name in SPLITS}


@pytest.fixture
def csv(tmp_path):
    """Write lines to a CSV file and return its path."""

    def write(*lines: str) -> str:
        path = tmp_path / "table.csv"
        path.write_text("\n".join(lines) + "\n")
        return str(path)

    return write


def test_the_real_digits_are_split_into_parquet_files_with_a_manifest(prepared):
    result = prepared.result
    assert result["rows"] == {"source": 1797, "train": 1259, "val": 179, "test": 359}
    assert result["features"] == 64
    assert result["classes"] == list("0123456789")
    manifest = json.loads(Path(result["manifest"]).read_bytes())
    for name, rows in read_splits(result["dataset"]).items():
        content = (Path(result["dataset"]) / f"{name}.parquet").read_bytes()
        assert len(rows) == result["rows"][name] == manifest["rows"][name]
        assert hashlib.sha256(content).hexdigest() == result["sha256"][f"{name}.parquet"]


@pytest.mark.parametrize(
    ("suffix", "write"),
    [
        ("csv", pl.DataFrame.write_csv),
        ("parquet", pl.DataFrame.write_parquet),
        ("jsonl", pl.DataFrame.write_ndjson),
    ],
)
def test_csv_parquet_and_json_lines_are_read(suffix, write, finish, tmp_path):
    write(flowers(), tmp_path / f"flowers.{suffix}")
    result = finish("preprocess_dataset", {"dataset": str(tmp_path / f"flowers.{suffix}")}).result
    splits = read_splits(result["dataset"])
    assert result["classes"] == ["iris", "lily", "rose"]
    assert sorted(pl.concat(splits.values())["petal"]) == flowers()["petal"].to_list()
    named = splits["test"].with_columns(pl.col("label").replace_strict([0, 1, 2], result["classes"]))
    assert named.join(flowers(), on=["petal", "label"]).height == len(named)


def test_every_class_has_its_share_in_every_split(finish, tmp_path):
    flowers(rows_per_class=20).write_csv(tmp_path / "flowers.csv")
    params = {"dataset": str(tmp_path / "flowers.csv"), "test_share": 0.25, "val_share": 0.15}
    splits = read_splits(finish("preprocess_dataset", params).result["dataset"])
    counts = {name: rows["label"].value_counts()["count"].to_list() for name, rows in splits.items()}
    assert counts == {"train": [12] * 3, "val": [3] * 3, "test": [5] * 3}


def test_the_seed_decides_the_split_byte_for_byte(finish, tmp_path):
    flowers().write_csv(tmp_path / "flowers.csv")
    digests = [
        finish("preprocess_dataset", {"dataset": str(tmp_path / "flowers.csv"), "seed": seed}).result["sha256"]
        for seed in (7, 7, 8)
    ]
    assert digests[0] == digests[1]
    assert digests[0]["test.parquet"] != digests[2]["test.parquet"]


def test_unusable_rows_and_duplicates_are_removed_and_counted(finish, csv):
    rows = [f"{n},{n % 5},{'ab'[n % 2]}" for n in range(20)]
    unusable = [",1,a", "NaN,1,a", "inf,1,b", "1,1,"]
    duplicates = [rows[3], rows[3], "4,4,b"]
    result = finish("preprocess_dataset", {"dataset": csv("x,y,label", *rows, *unusable, *duplicates)}).result
    assert result["invalid_removed"] == 4
    assert result["duplicates_removed"] == 3
    assert sum(result["rows"][name] for name in SPLITS) == 20


def test_no_row_of_one_split_is_in_another_even_with_a_contradicting_class(finish, csv):
    rows = [f"{n % 30},{n % 30},{'ab'[n % 2]}" for n in range(45)]
    result = finish(
        "preprocess_dataset", {"dataset": csv("x,y,label", *rows, *(f"{n},{n},a" for n in range(30)))}
    ).result
    features = [set(rows.select("x", "y").rows()) for rows in read_splits(result["dataset"]).values()]
    assert len(set.union(*features)) == sum(len(part) for part in features) == 30


CLASSES = [f"{n},{'ab'[n % 2]}" for n in range(10)]
NUMERIC = [f"{n},{n / 4}" for n in range(10)]


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["x,kind", *CLASSES], "there is no target column 'label'; the columns are 'x', 'kind'"),
        (["label", "a", "b"], "there are no feature columns beside the target 'label'"),
        (["x,label"], "is empty: it has no rows"),
        (
            ["x,label", ",a", "NaN,b"],
            "no row is usable: each has an empty, NaN or infinite value, most often in column 'x'",
        ),
        (["x,label", "1,a", "2,a", "3,a"], "all 3 rows are of one class, 'a': there is nothing to learn"),
        (["x,label", *CLASSES, "10,c"], "class 'c' needs 3 usable rows, for train, val and test; the table has 1"),
        (["x,label", *NUMERIC], "the target 'label' holds fractional numbers, which are no classes"),
        (["x,label", *(f"{n},{n}" for n in range(300))], "300 different values, more than 200: is it a class?"),
        (["x,label", "1,a", f"2,{'b' * 201}"], "has values of more than 200 characters: is it a class?"),
        (
            ["x,y,label", "1,1,a", "tall,n/a,b", "2,?,a"],
            "column 'x': 1 of 3 rows are not numbers (first at row 2: 'tall'); column 'y': 2 of 3 rows are not numbers",
        ),
        (["x,label", "1,a", "1,2,3,a"], "cannot be read as csv: found more fields than defined in 'Schema'"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_a_sentence(lines, sentence, csv):
    with pytest.raises(NotRetryable, match=re.escape(sentence)):
        clean_table(read_table(csv(*lines)), "label")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("missing.csv", None, "there is no file"),
        ("", None, "is a directory, not a file with a table"),
        ("empty.parquet", b"", "is empty: it has no bytes"),
        ("table.xlsx", b"PK", "its name must end in .csv, .parquet, .jsonl, .ndjson"),
        ("torn.parquet", b"PAR1 and then nothing", "cannot be read as parquet: "),
        ("torn.jsonl", b'{"x": 1, "label": "a"}\n{oops\n', "cannot be read as jsonl: "),
        ("latin1.csv", b"x,label\n1,caf\xe9\n", "cannot be read as csv: "),
        ("nested.jsonl", b'{"x": [1, 2], "label": "a"}\n', "column 'x': 1 of 1 rows are not numbers"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_a_sentence(name, content, sentence, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(NotRetryable, match=re.escape(sentence)):
        clean_table(read_table(str(tmp_path / name)), "label")


@pytest.mark.parametrize("dataset", ["/nowhere/table.csv", "s3://bucket/table.csv"])
def test_a_refused_dataset_fails_the_stage_in_one_line_and_for_good(dataset, finish):
    attempt = finish("preprocess_dataset", {"dataset": dataset}, exit_code=1)
    assert attempt.error["retryable"] is False
    assert attempt.log == f"error: {attempt.error['message']}\n"
    assert not (attempt.run_dir / "dataset").exists()
