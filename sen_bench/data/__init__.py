"""Datasets as tensors on a device."""
