"""Training: the contrastive loss, the loop, collapse, checkpoints and logs."""

from sen_bench.training.checkpoint import Checkpoint as Checkpoint
from sen_bench.training.loop import Reporter as Reporter
from sen_bench.training.loop import Status as Status
from sen_bench.training.loop import TrainingResult as TrainingResult
from sen_bench.training.loop import train as train
from sen_bench.training.loss import contrastive_loss as contrastive_loss
