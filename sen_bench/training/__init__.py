"""Training: the contrastive loss, the loop, collapse, checkpoints and logs; decoders."""

from sen_bench.system.progress import Reporter as Reporter
from sen_bench.system.progress import Status as Status
from sen_bench.training.checkpoint import Checkpoint as Checkpoint
from sen_bench.training.decoder import DecoderResult as DecoderResult
from sen_bench.training.decoder import train_decoder as train_decoder
from sen_bench.training.log import read_metrics as read_metrics
from sen_bench.training.loop import OTHER_RUN as OTHER_RUN
from sen_bench.training.loop import TrainingResult as TrainingResult
from sen_bench.training.loop import train as train
from sen_bench.training.loss import LOSS_TERMS as LOSS_TERMS
from sen_bench.training.loss import contrastive_loss as contrastive_loss
from sen_bench.training.profile import Profile as Profile
from sen_bench.training.profile import StepProfiler as StepProfiler
