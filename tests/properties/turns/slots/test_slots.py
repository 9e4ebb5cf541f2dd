"""Slots of schedules: whatever schedulers, clients and the upkeep do at once, it is as if they had come in a row."""

import pytest

from app.services import slots as service
from tests.properties.turns.campaign import play_many
from tests.properties.turns.slots.calls import uuid7
from tests.properties.turns.slots.play import fresh
from workers.tasks.built_in import BUILT_IN
from workers.tasks.registration import task_type

SCHEDULES = 70
FLOORS = {
    "fired": 240,
    "stale": 200,
    "waiting": 24,
    "skipped": 96,
    "missed": 96,
    "held_up": 40,
    "died": 80,
    "change_too_late": 24,
    "changed pause": 6,
    "changed resume": 12,
    "changed overlap": 16,
    "deleted": 8,
    "cancel": 96,
    "retry": 20,
    "delete": 20,
    "forgotten": 6,
}
"""How often each must have been met; about half of what is usual."""
TYPES = {each.name: each for each in map(task_type, BUILT_IN.values())}


async def registered(*_):
    return TYPES


@pytest.fixture(autouse=True)
def made(monkeypatch):
    monkeypatch.setattr(service.tasks, "registered", registered)
    monkeypatch.setattr(service, "uuid7", uuid7)


def test_each_slot_is_decided_once_and_as_the_policies_want_it(patient_url):
    met = play_many(patient_url, fresh, SCHEDULES)
    assert {what: met[what] for what, floor in FLOORS.items() if met[what] < floor} == {}
