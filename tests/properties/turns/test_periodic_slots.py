"""Slots of periodic tasks: whatever workers do at once, each begins once, and none is stuck."""

from tests.properties.turns import periodic
from tests.properties.turns.campaign import play_many

SCHEDULES = 60
FLOORS = {
    "took": 80,
    "had nothing to take": 130,
    "finished": 40,
    "told too late": 80,
    "lost": 14,
    "missed": 30,
    "held_up": 14,
    "died": 40,
    "dies": 60,
    "expires": 80,
}
"""How often each must have been met; about half of what is usual."""


def test_each_slot_is_taken_once_and_the_next_one_whatever_dies(patient_url):
    met = play_many(patient_url, periodic.fresh, SCHEDULES)
    assert {what: met[what] for what, floor in FLOORS.items() if met[what] < floor} == {}
