"""Settings: ``HEADWAY_*`` environment variables over a TOML file over the defaults below.

The file is ``headway.toml`` in the working directory, or the one that ``HEADWAY_CONFIG_FILE`` names.
"""

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from app.errors import SetupError
from schemas.queue import QUEUES_BY_PRIORITY

FILE = "headway.toml"
SCHEMES = {
    "database_url": ("postgresql", "postgres"),
    "redis_url": ("redis", "rediss", "unix"),
    "url": ("http", "https"),
}
REFUSED_PREFIXES = ("HEADWAY_", "PG", "REDIS", "VALKEY", "DATABASE_URL")
"""Headway's own variables, and what leads to its servers: no setting of an operator hands these to a stage."""

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Settings(BaseSettings):
    """Everything an operator may set. Units are in the names."""

    model_config = SettingsConfigDict(env_prefix="HEADWAY_", extra="ignore", frozen=True)

    database_url: SecretStr | None = None
    redis_url: SecretStr | None = None
    api_token: SecretStr | None = None
    data_dir: Path = Path(".headway")

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8700
    url: str | None = None
    allowed_hosts: str = ""

    lease_timeout_s: Seconds = 30
    heartbeat_interval_s: Seconds = 10
    sweep_interval_s: Seconds = 5
    cancel_grace_s: Seconds = 10
    drain_timeout_s: Seconds = 60

    worker_concurrency: Annotated[int, Field(ge=1, le=1_000)] = 4
    worker_inline_concurrency: Annotated[int, Field(ge=1, le=10_000)] = 100
    worker_queues: str = ""
    task_modules: str = ""
    stage_env: str = ""
    stage_log_bytes_max: Annotated[int, Field(ge=4_096)] = 100 * 1024 * 1024

    pipeline_retention_days: Annotated[float, Field(gt=0, le=36_500)] | None = None
    checkpoint_retention_days: Annotated[float, Field(gt=0, le=36_500)] = 30
    checkpoint_keep_best: Annotated[int, Field(ge=1, le=10_000)] = 3
    checkpoint_metric: Annotated[str, Field(min_length=1, max_length=128)] = "val_loss"
    checkpoint_metric_mode: Literal["min", "max"] = "min"

    database_prepared_statements: bool = True
    database_pool_max: Annotated[int, Field(ge=2, le=200)] = 10
    redis_prefix: str = "headway"
    stages_max: Annotated[int, Field(ge=1, le=10_000)] = 1_000
    body_bytes_max: Annotated[int, Field(ge=1_024, le=1024 * 1024)] = 1024 * 1024
    log_format: Literal["json", "pretty"] | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("data_dir", "api_token", "host", mode="before")
    @classmethod
    def _not_empty(cls, value: Any) -> Any:
        # An empty path is the working directory, and an empty token lets in whoever sends none.
        if value == "":
            raise ValueError("must not be empty; leave it unset for the default")
        return value

    @field_validator(*SCHEMES)
    @classmethod
    def _a_url(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None:
            _require_url(value.get_secret_value() if isinstance(value, SecretStr) else value, str(info.field_name))
        return value

    @field_validator("worker_queues")
    @classmethod
    def _queues(cls, value: str) -> str:
        if unknown := sorted(names_in(value) - set(QUEUES_BY_PRIORITY)):
            raise ValueError(f"no such queue: {', '.join(unknown)}; there are {', '.join(QUEUES_BY_PRIORITY)}")
        return value

    @field_validator("stage_env")
    @classmethod
    def _names_of_variables(cls, value: str) -> str:
        if any("=" in name for name in names_in(value)):
            raise ValueError("names of variables, separated by commas, without values")
        if refused := sorted(name for name in names_in(value) if name.upper().startswith(REFUSED_PREFIXES)):
            raise ValueError(f"no stage may see {', '.join(refused)}")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - there is no .env file
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - nor a directory of secrets
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments over environment over file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, _file())


def load_settings(**overrides: object) -> Settings:
    """Read the settings once.

    Raises:
        SetupError: naming every bad setting at once, without the values.

    """
    faults = list(_file_faults())
    try:
        settings = Settings(**{name: value for name, value in overrides.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as invalid:
        faults += [_told(error["loc"][0], error["msg"]) for error in invalid.errors(include_input=False)]
    except (OSError, ValueError):  # the file, of which the faults tell
        assert faults
    else:
        if settings.heartbeat_interval_s * 2 > settings.lease_timeout_s:
            faults.append("HEADWAY_HEARTBEAT_INTERVAL_S must be at most half of HEADWAY_LEASE_TIMEOUT_S.")
    if faults:
        raise SetupError("Bad settings:\n  " + "\n  ".join(faults))
    return settings


def names_in(text: str) -> set[str]:
    """The names in a setting that lists them, separated by commas."""
    return {name.strip() for name in text.split(",") if name.strip()}


def _told(name: int | str, message: str) -> str:
    return f"HEADWAY_{str(name).upper()}: {message.removeprefix('Value error, ')}"


def _file() -> Path:
    return Path(os.environ.get("HEADWAY_CONFIG_FILE") or FILE)


def _file_faults() -> Iterator[str]:
    """What is wrong with the settings file as such: it is missed, cannot be read, or sets what does not exist."""
    try:
        with _file().open("rb") as file:
            found = tomllib.load(file)
    except FileNotFoundError:
        if os.environ.get("HEADWAY_CONFIG_FILE"):
            yield f"HEADWAY_CONFIG_FILE: there is no {_file()}"
    except OSError as error:
        yield f"{_file()} cannot be read: {error.strerror}"
    except ValueError as error:
        yield f"{_file()} is not TOML: {error}"
    else:
        yield from (f"{_file()}: there is no setting {name!r}" for name in found if name not in Settings.model_fields)


def _require_url(text: str, name: str) -> None:
    """Check what a client would stumble over later; the message keeps the text, and so its password, to itself."""
    schemes = SCHEMES[name]
    try:
        parts = urlsplit(text)
        _ = name == "database_url" or parts.port  # Postgres' may name several hosts, each with a port
    except ValueError:
        raise ValueError(f"is not a URL; {schemes[0]}://… is expected") from None
    if parts.scheme not in schemes:
        raise ValueError(f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    if name == "url" and not parts.hostname:
        raise ValueError("names no host")
