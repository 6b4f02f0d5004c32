"""Presets as small as it gets, shared by the tests of commands."""

TINY = """
description = "as small as it gets"
[tasks.3d-blocks]
data.train = { episodes = 4, horizon = 5 }
data.eval = { episodes = 5, horizon = 3 }
data.train-limited = { episodes = 20 }
training = { epochs = 2, batch_size = 10 }
evaluation = { horizons = [1, 3] }
models.sen = { embedding_channels = 2, hidden = 4 }
models.none = { embedding_channels = 2, hidden = 4 }
models.full = { embedding_channels = 1, hidden = 4 }
"""

TWO_TASKS = """
description = "as small as it gets"
[tasks.2d-shapes]
data.train = { episodes = 8, horizon = 5 }
data.eval = { episodes = 5, horizon = 3 }
data.train-limited = { episodes = 40 }
training = { epochs = 3, batch_size = 10 }
evaluation = { horizons = [1, 3] }
models.sen = { embedding_channels = 2, hidden = 4 }
models.none = { embedding_channels = 2, hidden = 4 }
[tasks.rush-hour]
seeds = 2
data.train = { episodes = 8, horizon = 5 }
data.eval = { episodes = 5, horizon = 3 }
training = { epochs = 3, batch_size = 10 }
evaluation = { horizons = [1, 3] }
models.sen = { embedding_channels = 2, hidden = 4 }
models.none = { embedding_channels = 2, hidden = 4 }
"""
"""Two tasks, two models each, one of the tasks with fewer actions too."""

SLICED = TWO_TASKS.replace(
    "data.eval = { episodes = 5, horizon = 3 }\n",
    "data.train-slice = { episodes = 20 }\ndata.eval = { episodes = 40, horizon = 3 }\n",
    1,
).replace("epochs = 3", "epochs = 1")
"""The same, with a slice of 2D Shapes to train on, for one epoch."""

OF_DRIFT = """
description = "as small as it gets"
[tasks.drift.training]
epochs = 1
batch_size = 4
[tasks.drift.evaluation]
horizons = [1, 2]
"""
"""Of the world of a plugin, tests/support/fake_worlds.py."""
