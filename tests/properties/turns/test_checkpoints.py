"""Checkpoints: whatever clean-ups, trainings and owners do at once, and wherever they die, what is kept stays whole."""

import pytest

from app.services import retention
from tests.properties.turns import checkpoints
from tests.properties.turns.campaign import play_many

SCHEDULES = 50
FLOORS = {
    "clean": 80,
    "hourly": 7,
    "save": 60,
    "saved anew": 7,
    "deleting": 60,
    "deleted": 17,
    "pinned": 22,
    "pin refused": 5,
    "waited": 15,
    "end": 4,
    "deleted by its owner": 2,
    "pruned": 2,
    "died before BEGIN": 20,
    "died before COMMIT": 17,
    "died before the files": 3,
}
"""How often each must have been met; about half of what is usual."""


@pytest.fixture(autouse=True)
def resting(monkeypatch):
    monkeypatch.setattr(retention, "_removable", checkpoints.look_and_rest)
    monkeypatch.setattr(retention, "remove", checkpoints.remove_and_tell)


def test_what_is_to_be_kept_is_never_gone_and_what_is_to_go_goes(patient_url):
    met = play_many(patient_url, checkpoints.fresh, SCHEDULES)
    assert {what: met[what] for what, floor in FLOORS.items() if met[what] < floor} == {}
