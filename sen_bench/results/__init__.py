"""Result tables: rows, statistics over seeds, learning curves, the published numbers."""
