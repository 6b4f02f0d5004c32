"""The processor of this machine, as the operating system describes it."""

from __future__ import annotations

import platform
from pathlib import Path


def processor() -> tuple[str, frozenset[str]]:
    """The model of the processor and its features; no features where the system does not list them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine(), frozenset()
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return facts.get("model name", platform.machine()), frozenset(facts.get("flags", "").split())
