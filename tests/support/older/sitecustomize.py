"""Python runs this when it starts: a worker of an older version, from before ``noop`` was built in."""

import workers.stage
from workers.tasks import built_in

del built_in.BUILT_IN["noop"]
workers.stage.UNKNOWN_TASK_DELAY_S = 0.3
