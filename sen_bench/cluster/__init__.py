"""Clusters: workers of a Dask scheduler, or of SLURM jobs, that see the same file system as this machine."""

from sen_bench.cluster.client import SLURM as SLURM
from sen_bench.cluster.client import connected as connected
from sen_bench.cluster.slurm import SlurmOptions as SlurmOptions
from sen_bench.cluster.token import Token as Token
from sen_bench.cluster.token import new_token as new_token
