"""The sizes of the examples. Help texts say some of them, so no network is imported here.

The paper shows the example without its sizes: all of them are ours.
"""

from typing import Final

LENGTH: Final = 32
"""Samples in a sequence."""

HIGHEST_FREQUENCY: Final = 8
"""The most periods in a sequence: each then has four samples."""

TRAIN_SEQUENCES, TEST_SEQUENCES = 1000, 1000
"""How many sequences are learned from, and how many others the networks are scored on."""

CHANNELS, KERNEL = 16, 3
"""Channels of the convolutions, and how many neighbouring positions each of them sees."""

HIDDEN: Final = 64
"""Width of the network of fully connected layers."""

DEFAULT_STEPS: Final = 1000
"""Steps of the optimiser, unless the user says otherwise."""

BATCH_SIZE: Final = 128

LEARNING_RATE: Final = 1e-2
"""Of AdamW, at the beginning. With half of it, one of six seeds was stuck (at an error of 0.9) where a part
of the positions had the weights of the others with their signs changed."""

WEIGHT_DECAY: Final = 2.0
"""Of the first layer, as in AdamW. Sinusoids of 8 frequencies span 16 of 32 dimensions. What the layer does
to the others no loss ever sees: without decay the random numbers that it began with stay in its picture."""
