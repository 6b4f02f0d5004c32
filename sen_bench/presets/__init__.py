"""The presets: how large a run is, as TOML files."""
