"""Python runs this when it starts, in every process of a hunt: pytest, and the workers and schedulers of its tests."""

import os

from tests.properties.mutants.catalogue import named
from tests.properties.mutants.planting import plant

plant(named(os.environ["MUTANT"]))
