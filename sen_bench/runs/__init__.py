"""A run: one model of one task, trained and scored with one seed."""
