"""What an operator relies on in ``compose.yaml`` and ``Containerfile``, without a container engine."""

import re
from pathlib import Path

import pytest
import yaml

from app.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
CONTAINERFILE = (ROOT / "Containerfile").read_text()
ROLES = ["migrate", "api", "scheduler", "worker"]


def test_redis_keeps_every_job():
    command = SERVICES["redis"]["command"]
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"
    assert command[command.index("--appendonly") + 1] == "yes"


@pytest.mark.parametrize("server", ["postgres", "redis"])
def test_servers_are_checked_and_keep_their_data(server: str):
    assert SERVICES[server]["healthcheck"]["test"]
    assert SERVICES[server]["volumes"][0].split(":")[0] in COMPOSE["volumes"]


@pytest.mark.parametrize("role", ["api", "scheduler", "worker"])
def test_roles_wait_for_healthy_servers_and_for_the_migrations(role: str):
    conditions = {name: waited["condition"] for name, waited in SERVICES[role]["depends_on"].items()}
    assert conditions == {
        "postgres": "service_healthy",
        "redis": "service_healthy",
        "migrate": "service_completed_successfully",
    }


def test_secrets_must_be_set_by_the_user():
    secrets = [
        SERVICES["api"]["environment"]["HEADWAY_API_TOKEN"],
        SERVICES["postgres"]["environment"]["POSTGRES_PASSWORD"],
        *(SERVICES[role]["environment"]["HEADWAY_DATABASE_URL"] for role in ROLES),
    ]
    assert all(re.search(r"\$\{(HEADWAY_API_TOKEN|POSTGRES_PASSWORD):\?", secret) for secret in secrets)


def test_ports_are_published_on_the_loopback_only():
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_a_worker_gets_more_time_to_stop_than_its_drain_takes():
    grace_s = int(SERVICES["worker"]["stop_grace_period"].removesuffix("s"))
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    assert grace_s > 1.5 * defaults["drain_timeout_s"] + defaults["cancel_grace_s"]


@pytest.mark.parametrize("role", ROLES)
def test_orphans_of_a_stage_are_reaped_and_no_right_is_left(role: str):
    assert SERVICES[role]["init"] is True
    assert SERVICES[role]["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_is_one_that_headway_knows(role: str):
    known = {f"HEADWAY_{name.upper()}" for name in Settings.model_fields}
    assert set(SERVICES[role]["environment"]) <= known


def test_the_image_runs_as_an_unprivileged_number_and_stops_by_sigterm():
    assert int(re.findall(r"^USER (\d+):\d+$", CONTAINERFILE, re.MULTILINE)[-1]) >= 10_000
    assert "\nSTOPSIGNAL SIGTERM\n" in CONTAINERFILE


def test_the_image_is_made_of_pinned_hashes():
    fetching = [line for line in CONTAINERFILE.splitlines() if "pip install" in line and "/wheel/" not in line]
    assert fetching
    assert all("--require-hashes" in line for line in fetching)
