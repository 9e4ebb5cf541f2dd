"""The rules as data, in the order in which they are asked: the first one that fits a line decides what it is.

They are grouped by what they are about. Where two groups know a line, the earlier one is the more special.
"""

from app.core.diagnosis.rule import Rule
from app.core.diagnosis.rules import data, devices, distributed, machine, program

ALL: tuple[Rule, ...] = (
    *devices.RULES,
    *machine.RULES,
    *distributed.RULES,
    *program.ENVIRONMENT,
    *data.RULES,
    *program.RULES,
)
