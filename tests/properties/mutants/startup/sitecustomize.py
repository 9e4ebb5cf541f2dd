"""Python runs this when it starts: the workers and schedulers that the tests of a hunt start have its defect, too."""

import os

from tests.properties.mutants.catalogue import named
from tests.properties.mutants.planting import plant

plant(named(os.environ["MUTANT"]))
