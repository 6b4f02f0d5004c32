"""A profile of training for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sen_bench.costs import MachineLimits, StepCost
    from sen_bench.training import Profile

OPERATORS: Final = 10
"""How many of the most expensive operators are shown: with the stages, they fit a screen."""


def format_profile(profile: Profile, cost: StepCost | None, limits: MachineLimits) -> str:
    """The stages of a step, how near it is to what is possible, and the most expensive operators.

    Args:
        profile: What was measured.
        cost: What such a step takes; None: it is not known, and no limit is shown.
        limits: Of the machine that it was measured on.

    Returns:
        Lines without colour codes.
    """
    step = profile.seconds / profile.timed
    lines = [f"a training step on {profile.device}: {1e3 * step:.1f} ms (mean of {profile.timed} steps)"]
    stages = {name: seconds / profile.timed for name, seconds in profile.stages.items()}
    stages["other"] = step - sum(stages.values())
    lines += [
        f"  {name:<12}{1e3 * seconds:>9.2f} ms {seconds / step:>7.1%}" for name, seconds in stages.items()
    ]
    lines += [] if cost is None else _limits(step, cost, limits)
    total = sum(operator.seconds for operator in profile.operators)
    lines.append(f"operators by their own time ({profile.traced} further steps, traced)")
    for operator in profile.operators[:OPERATORS]:
        each, calls = operator.seconds / profile.traced, operator.calls / profile.traced
        name = operator.name if len(operator.name) <= 48 else f"{operator.name[:47]}…"
        lines.append(
            f"  {name:<48}{1e3 * each:>9.2f} ms {operator.seconds / total:>7.1%} {calls:>7.1f} calls"
        )
    lines.append(f"trace: {profile.trace} (open it at https://ui.perfetto.dev)")
    return "\n".join(lines)


def _limits(step: float, cost: StepCost, limits: MachineLimits) -> list[str]:
    """Which share of the machine's limit a step of so many seconds reaches, and what the limit is."""
    floor = cost.floor(limits)
    moved = f"{cost.fused_bytes / 1e9:.2f} GB ({cost.eager_bytes / 1e9:.2f} uncompiled)"
    takes = f"{cost.flops / 1e9:.2f} GFLOP at {limits.flops / 1e9:.0f} GFLOP/s"
    return [
        f"limit of this machine: {1e3 * floor:.1f} ms a step, of which this one reaches {floor / step:.0%}",
        f"  {takes}, or {moved} at {limits.bytes_moved / 1e9:.1f} GB/s",
    ]
