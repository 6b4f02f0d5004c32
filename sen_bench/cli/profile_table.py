"""A profile of training for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sen_bench.training import Profile

OPERATORS: Final = 10
"""How many of the most expensive operators are shown: with the stages, they fit a screen."""


def format_profile(profile: Profile) -> str:
    """The stages of a step and the most expensive operators, plain text.

    Args:
        profile: What was measured.

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
