"""Collapse: all latents equal, the loss resting at the hinge margin. It is detected here, and only here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: A step counts as collapsed when the mean energy to a random latent is below this share of the margin …
SEPARATION_SHARE = 0.05
#: … and the loss is at least this share of it: nothing is separated, and nothing is learned instead.
LOSS_SHARE = 0.9
#: This many such steps in a row are called a collapse; a narrow network was seen to recover at step 257.
PATIENCE = 200


@dataclass
class CollapseDetector:
    """Watches the loss of every step.

    Args:
        hinge: The margin of the loss, which is what the loss of equal latents rests at; the mean one where
            negatives have several.
        patience: How many collapsed steps in a row make a collapse.
        streak: Collapsed steps in a row so far (kept in checkpoints).
        collapsed: Whether the model is collapsed now (kept in checkpoints).
    """

    hinge: float
    patience: int = PATIENCE
    streak: int = 0
    collapsed: bool = False

    def update(self, loss: float, separation: float) -> Literal["collapsed", "recovered"] | None:
        """Takes in one step.

        Args:
            loss: The step's loss.
            separation: The step's mean energy to a random other latent.

        Returns:
            What this step changed: the model has collapsed, or it no longer is collapsed, or nothing.
        """
        if separation < SEPARATION_SHARE * self.hinge and loss > LOSS_SHARE * self.hinge:
            self.streak += 1
            if self.streak == self.patience:
                self.collapsed = True
                return "collapsed"
            return None
        self.streak = 0
        if self.collapsed:
            self.collapsed = False
            return "recovered"
        return None
