"""Settings: ``HEADWAY_*`` environment variables over a TOML file over the defaults below.

The file is ``headway.toml`` in the working directory, or the one that ``HEADWAY_CONFIG_FILE`` names.
"""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from app.errors import SetupError

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

    database_prepared_statements: bool = True
    database_pool_max: Annotated[int, Field(ge=2, le=200)] = 10
    redis_prefix: str = "headway"
    stages_max: Annotated[int, Field(ge=1, le=10_000)] = 1_000
    body_bytes_max: Annotated[int, Field(ge=1_024, le=1024 * 1024)] = 1024 * 1024
    log_format: Literal["json", "pretty"] | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"

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
        file = TomlConfigSettingsSource(settings_cls, os.environ.get("HEADWAY_CONFIG_FILE", "headway.toml"))
        return init_settings, env_settings, file


def load_settings(**overrides: object) -> Settings:
    """Read the settings once.

    Raises:
        SetupError: naming every bad setting at once, without the values.

    """
    try:
        settings = Settings(**{name: value for name, value in overrides.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as invalid:
        bad = [f"HEADWAY_{str(e['loc'][0]).upper()}: {e['msg']}" for e in invalid.errors(include_input=False)]
        raise SetupError("Bad settings:\n  " + "\n  ".join(bad)) from None
    if settings.heartbeat_interval_s * 2 > settings.lease_timeout_s:
        raise SetupError("HEADWAY_HEARTBEAT_INTERVAL_S must be at most half of HEADWAY_LEASE_TIMEOUT_S.")
    return settings
