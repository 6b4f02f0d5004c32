"""What training steps take, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sen_bench.system import shown

_HEADER = ("task", "model", "batch", "precision", "operators", "GFLOP", "MB eager", "MB fused", "FLOP a byte")
_NOTE = (
    "operators of a step; GFLOP and MB of a transition, forwards, backwards and Adam; eager: every operator"
    " reads and writes\nmemory; fused: only products and Adam do; FLOP a byte: of the fused form"
)


def format_costs(rows: Sequence[dict[str, Any]]) -> str:
    """The cost of each model's training step as text.

    Args:
        rows: As ``sen-bench models --cost --json`` prints them.
    """
    table, notes = [_HEADER], []
    for row in rows:
        if "error" in row:
            notes.append(shown(f"{row['task']} {row['model']} cannot be counted: {row['error']}"))
            continue
        cost = row["cost"]
        batch = cost["batch"]
        table.append(
            (
                shown(row["task"]),
                shown(row["model"]),
                str(batch),
                cost["precision"],
                str(cost["operators"]),
                f"{cost['flops'] / batch / 1e9:.3f}",
                f"{cost['eager_bytes'] / batch / 1e6:.1f}",
                f"{cost['fused_bytes'] / batch / 1e6:.2f}",
                f"{cost['flops'] / cost['fused_bytes']:.0f}",
            )
        )
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    left = {0, 1, 3}
    lines = [
        "  ".join(
            cell.ljust(width) if place in left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    ]
    return "\n".join(
        [*(lines if len(table) > 1 else []), "", *([_NOTE] if len(table) > 1 else []), *notes]
    ).strip("\n")
