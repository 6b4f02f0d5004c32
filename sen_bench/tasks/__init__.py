"""What is compared with what: each task ties a world, its splits, its models and its horizons together."""
