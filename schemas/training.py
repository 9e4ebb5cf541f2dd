"""Parameters and results of the built-in tasks.

Workers register their JSON Schemas, the API validates params against them, and references between stages are checked
against the result types. Paths are absolute: the stages of a pipeline hand each other paths, never data.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from schemas import limits

Path = Annotated[str, Meta(min_length=1, max_length=4_096)]
PreparedDataset = Annotated[
    str,
    Meta(min_length=1, max_length=4_096, description="directory that preprocess_dataset made (its result.dataset)"),
]
Seed = Annotated[int, Meta(ge=0, le=2**63 - 1, description="the same seed gives the same result, bit for bit")]
Share = Annotated[float, Meta(gt=0, lt=0.5, description="share of each class's rows, 0 to 0.5")]
Units = Annotated[int, Meta(ge=1, le=4_096)]
Argv = Annotated[
    list[Annotated[str, Meta(max_length=32_768)]],
    Meta(min_length=1, max_length=1_024, description="program and arguments; no shell reads them"),
]
StageName = Annotated[str, Meta(min_length=1, max_length=limits.STAGE_NAME_MAX)]
EnvName = Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_]{0,254}$")]


class PreprocessParams(Struct, forbid_unknown_fields=True, kw_only=True):
    """Validate a table, remove duplicates, split it into train, val and test."""

    dataset: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=4_096,
            description="builtin:digits, or the absolute path of a .csv, .parquet, .jsonl or .ndjson file",
        ),
    ]
    target: Annotated[
        str,
        Meta(min_length=1, max_length=256, description="column of the class; every other column is a feature"),
    ] = "label"
    test_share: Share = 0.2
    val_share: Share = 0.1
    seed: Seed = 0


class PreprocessResult(Struct, forbid_unknown_fields=True, kw_only=True):
    """A prepared dataset: a directory of Parquet files with a manifest."""

    dataset: Annotated[str, Meta(description="the directory: params of train_model and run_evaluation")]
    manifest: str
    rows: Annotated[dict[str, int], Meta(description="rows in the source, and in train, val and test")]
    features: Annotated[int, Meta(description="number of feature columns")]
    classes: Annotated[list[str], Meta(description="names of the classes, in the order of their numbers")]
    duplicates_removed: int
    invalid_removed: Annotated[int, Meta(description="rows with an empty, NaN or infinite value")]
    sha256: Annotated[dict[str, str], Meta(description="digest of each Parquet file, by file name")]


class TrainParams(Struct, forbid_unknown_fields=True, kw_only=True):
    """Train a classifier, epoch by epoch, with a checkpoint to resume from.

    With ``entrypoint`` the user's own program runs instead; it finds these params, ``config`` included, as JSON in
    the file that ``HEADWAY_PARAMS`` names.
    """

    dataset: PreparedDataset
    learning_rate: Annotated[float, Meta(gt=0, le=1_000)] = 0.05
    batch_size: Annotated[int, Meta(ge=1, le=1_000_000)] = 32
    epochs: Annotated[int, Meta(ge=1, le=100_000)] = 30
    seed: Seed = 0
    hidden: Annotated[
        tuple[Units, ...],
        Meta(min_length=1, max_length=2, description="units of the one or two hidden layers"),
    ] = (128,)
    weight_decay: Annotated[float, Meta(ge=0, le=1)] = 0.001
    checkpoint_every: Annotated[int, Meta(ge=1, le=100_000, description="epochs; the last one always has one")] = 1
    epoch_delay_s: Annotated[float, Meta(ge=0, le=3_600, description="pause after each epoch, for demonstrations")] = 0
    entrypoint: Argv | None = None
    config: Annotated[dict[str, Any], Meta(description="anything the program of entrypoint wants")] = field(
        default_factory=dict,
    )


class SavedCheckpoint(Struct, forbid_unknown_fields=True, kw_only=True):
    """A complete checkpoint at the end of an epoch, with what it scored on the val split."""

    path: str
    step: Annotated[int, Meta(description="batches trained on so far")]
    epoch: int
    val_loss: float
    val_accuracy: float


class TrainResult(Struct, kw_only=True):
    """What the training reached.

    The reference trainer fills every field. A program of the user's may leave any of them out and add others, so
    unknown fields are welcome here.
    """

    epochs: int = 0
    train_loss: float | None = None
    val_loss: float | None = None
    val_accuracy: float | None = None
    best_checkpoint: Annotated[str, Meta(description="the one with the lowest val_loss; the earlier of equals")] = ""
    best_epoch: int = 0
    last_checkpoint: str = ""
    checkpoints: Annotated[
        list[SavedCheckpoint],
        Meta(description="best first, at most 100; the whole list is /api/v1/checkpoints"),
    ] = field(default_factory=list)


class EvaluationParams(Struct, forbid_unknown_fields=True, kw_only=True):
    """Score a checkpoint on rows that its training never saw."""

    dataset: PreparedDataset
    checkpoint: Annotated[
        str,
        Meta(min_length=1, max_length=4_096, description="checkpoint directory (train_model's result.best_checkpoint)"),
    ]
    split: Literal["train", "val", "test"] = "test"


class ClassScore(Struct, forbid_unknown_fields=True, kw_only=True):
    """How well one class is told from the others; ``support`` is its number of samples."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


class EvaluationResult(Struct, forbid_unknown_fields=True, kw_only=True):
    """Scores between 0 and 1, and who was taken for whom."""

    accuracy: float
    macro_f1: Annotated[float, Meta(description="mean of the classes' F1, each class counting the same")]
    confusion_matrix: Annotated[list[list[int]], Meta(description="rows: true class, columns: predicted class")]
    per_class: list[ClassScore]
    samples: int
    split: str
    checkpoint: str


class CleanupParams(Struct, forbid_unknown_fields=True, kw_only=True):
    """Delete all checkpoints of this pipeline but the best."""

    stage: Annotated[StageName | None, Meta(description="training stage of this pipeline; null: all of them")] = None
    keep_best_n: Annotated[int, Meta(ge=1, le=10_000)] = 3
    metric: Annotated[str, Meta(min_length=1, max_length=128, description="a metric of the checkpoints")] = "val_loss"
    mode: Annotated[Literal["min", "max"], Meta(description="min: low is good")] = "min"
    dry_run: Annotated[bool, Meta(description="say what would be deleted, delete nothing")] = False


class CleanupResult(Struct, forbid_unknown_fields=True, kw_only=True):
    """Paths of the checkpoints that were kept, best first, and of those that are gone: the first 100 of each."""

    kept: list[str]
    kept_count: int
    deleted: list[str]
    deleted_count: int
    freed_bytes: int


class CommandParams(Struct, forbid_unknown_fields=True, kw_only=True):
    """Run any program in the stage's run directory."""

    argv: Argv
    env: Annotated[dict[EnvName, str], Meta(max_length=256, description="added to the stage's environment")] = field(
        default_factory=dict,
    )
    cwd: Annotated[Path | None, Meta(description="working directory; null: the run directory")] = None


class CommandResult(Struct, kw_only=True):
    """How the program ended; one that reports a result of its own ends with that instead, whatever its fields."""

    exit_code: int = 0
    last_lines: Annotated[list[str], Meta(description="the end of its output")] = field(default_factory=list)


class NoopParams(Struct, forbid_unknown_fields=True, kw_only=True):
    """Do nothing, at once or after a pause."""

    sleep_s: Annotated[float, Meta(ge=0, le=3_600)] = 0


class NoopResult(Struct, forbid_unknown_fields=True, kw_only=True):
    """Nothing."""
