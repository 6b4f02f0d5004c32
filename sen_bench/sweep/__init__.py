"""Sweeps: many runs into one table, in this process, side by side in several, or on a cluster."""

from sen_bench.sweep.estimate import Estimates as Estimates
from sen_bench.sweep.jobs import Means as Means
from sen_bench.sweep.jobs import side_by_side as side_by_side
from sen_bench.sweep.outcome import Board as Board
from sen_bench.sweep.outcome import Count as Count
from sen_bench.sweep.outcome import Outcome as Outcome
from sen_bench.sweep.outcome import one_by_one as one_by_one
from sen_bench.sweep.plan import Plan as Plan
from sen_bench.sweep.plan import PlannedRun as PlannedRun
from sen_bench.sweep.plan import make_plan as make_plan
from sen_bench.sweep.remote import on_workers as on_workers
from sen_bench.sweep.selection import Selection as Selection
from sen_bench.sweep.selection import select_runs as select_runs
from sen_bench.sweep.worker import threads_per_job as threads_per_job
