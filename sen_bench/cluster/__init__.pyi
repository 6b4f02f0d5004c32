from .client import SLURM as SLURM
from .client import connected as connected
from .slurm import SlurmOptions as SlurmOptions
from .tls import TlsFiles as TlsFiles
from .token import Token as Token
from .token import new_token as new_token
