from .sequence import NETWORKS as NETWORKS
from .sequence import SequenceExample as SequenceExample
from .sequence import TrainedNetwork as TrainedNetwork
from .sequence import train_sequence_example as train_sequence_example
from .shifts import shift_equivariance_error as shift_equivariance_error
from .sinusoids import sample_sinusoids as sample_sinusoids
from .sizes import DEFAULT_STEPS as DEFAULT_STEPS
from .sizes import LENGTH as LENGTH
