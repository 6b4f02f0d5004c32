"""Presets and resolved settings: TOML in, validated models out."""
