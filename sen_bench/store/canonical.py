"""Digests of JSON that everybody computes alike; recipes have one, and need nothing else of a store."""

import hashlib
import json


def canonical_digest(data: object) -> str:
    """Hexadecimal sha256 of JSON-able data, as JSON with sorted keys and without spaces."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
