"""Figures of a run: its learning curve, its latent space, reconstructions; all in one style."""
