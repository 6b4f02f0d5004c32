"""The one table of scores: what each is called, what it means, and where it is shown.

Everything that names a score follows from `METRICS`: the columns of `runs.csv` and `leaderboard.csv`, the
metrics that `published.csv` may have, the terminal's table and the page of results. Tests hold the scores
that evaluation computes, and the columns that docs/results.md describes, to the same table.

To add a score:

1. Compute it: add a field to `sen_bench.evaluation.HorizonScores`.
2. Add its `Metric`, of the same name, to the end of `METRICS`, with ``appended="last"``. Its columns are then
   the last ones, and tables that were written before are read as if they were empty there. Add them to the
   end of the lists in tests/golden/columns.json too.
3. Describe its column in docs/results.md; a test fails until that is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

from sen_bench.results.csv_tables import Amount, Ratio, Share, ShareIfAny

Aspect: TypeAlias = Literal["ranking", "prediction", "equivariance", "latents"]
"""What a score tells of a model; the terminal and the page show scores by aspect, in this order."""


@dataclass(frozen=True)
class Metric:
    """A score that every run has at every horizon.

    Attributes:
        name: Its column in `runs.csv`, the beginning of its columns in `leaderboard.csv`, and what
            `published.csv` calls it.
        column_type: What values it may have: `Share` or `Amount`, or `ShareIfAny` or `Ratio` where it can be
            undefined.
        aspect: What it tells of a model.
        meaning: What it is, short and without a full stop.
        detail: What the description of its column adds to that.
        heading: Its short name in the terminal and on the page; empty: they do not show it.
        higher_is_better: Whether models are better by a higher score, or by a lower one; None: neither, and
            models are not compared by it.
        averaged: Whether the leaderboard has its statistics over runs.
        appended: Where its columns are, if the score was added when there were tables already; these have no
            such column, so it can be undefined. "last": after all others, where every new score belongs;
            "before external": before the column `external`, which is younger than the score. False: among
            the columns of the first tables.
    """

    name: str
    column_type: Any
    aspect: Aspect
    meaning: str
    detail: str = ""
    heading: str = ""
    higher_is_better: bool | None = None
    averaged: bool = True
    appended: Literal["before external", "last", False] = False

    def __post_init__(self) -> None:
        if self.heading and (self.higher_is_better is None or not self.averaged):
            raise ValueError(
                f"{self.name} has a heading, but nothing to show: it is not averaged or compared"
            )
        if self.higher_is_better is not None and not self.averaged:
            raise ValueError(f"models are to be compared by {self.name}, but it is not averaged")
        if self.appended and self.column_type not in (ShareIfAny, Ratio):
            raise ValueError(f"{self.name} is undefined in tables that were written before it was added")

    @property
    def is_share(self) -> bool:
        """Whether it lies in [0, 1] and is shown in percent."""
        return self.column_type in (Share, ShareIfAny)

    @property
    def label(self) -> str:
        """Its heading; the name of its column where it has none."""
        return self.heading or self.name

    @property
    def title(self) -> str:
        """Its label with the unit in which it is shown: ``MRR %``."""
        return f"{self.label} %" if self.is_share else self.label

    @property
    def description(self) -> str:
        """What its column in `runs.csv` holds, in one sentence."""
        name = f"{self.heading}: " if self.heading else ""
        text = f"{name}{self.meaning}{self.detail}"
        return text[0].upper() + text[1:]


METRICS: Final = (
    Metric(
        "hits_at_1",
        Share,
        "ranking",
        "share of true latents whose own prediction ranks first",
        heading="H@1",
        higher_is_better=True,
    ),
    Metric(
        "hits_at_5",
        Share,
        "ranking",
        "share whose own prediction is among the first five",
        heading="H@5",
        higher_is_better=True,
    ),
    Metric(
        "hits_at_10",
        Share,
        "ranking",
        "share whose own prediction is among the first ten",
        heading="H@10",
        higher_is_better=True,
    ),
    Metric(
        "mrr",
        Share,
        "ranking",
        "mean of 1 / rank",
        detail=", over all evaluation episodes",
        heading="MRR",
        higher_is_better=True,
    ),
    Metric(
        "hits_at_1_optimistic",
        Share,
        "ranking",
        "H@1 with the public code's tie rule; not for comparison",
        averaged=False,
    ),
    Metric(
        "mrr_optimistic",
        Share,
        "ranking",
        "MRR with the public code's tie rule; not for comparison",
        averaged=False,
    ),
    Metric(
        "hh_at_1",
        ShareIfAny,
        "ranking",
        "share of predictions nearer to the truth than to any hard negative",
        detail="; empty without negatives",
        heading="HH@1",
        higher_is_better=True,
    ),
    Metric(
        "ee_embedding",
        Ratio,
        "equivariance",
        "equivariance error of the embedding network",
        heading="EE(S)",
        higher_is_better=False,
    ),
    Metric(
        "ee_latent",
        Ratio,
        "equivariance",
        "equivariance error of the latents",
        detail=" z = E(S(s)), where E and T are equivariant",
        heading="EE(z)",
        higher_is_better=False,
    ),
    Metric(
        "die_embedding",
        Ratio,
        "equivariance",
        "distance invariance error of the embedding network",
        heading="DIE(S)",
        higher_is_better=False,
    ),
    Metric(
        "die_model",
        Ratio,
        "equivariance",
        "distance invariance error of the predictions",
        heading="DIE(model)",
        higher_is_better=False,
    ),
    Metric(
        "relative_error",
        Ratio,
        "prediction",
        "error of predictions; 1: as if nothing changed",
        detail=" (RMS)",
        heading="rel. error",
        higher_is_better=False,
    ),
    Metric("latent_spread", Amount, "latents", "RMS distance of the true latents from their mean"),
    Metric(
        "separation",
        Share,
        "latents",
        "mean over random pairs of latents of min(1, energy / margin)",
        averaged=False,
    ),
    *(
        Metric(
            f"no_change_{name}",
            ShareIfAny,
            "ranking",
            f"{heading} of predicting that nothing changes",
            detail="; empty in rows that were written before it was recorded",
            appended="before external",
        )
        for name, heading in (
            ("hits_at_1", "H@1"),
            ("hits_at_5", "H@5"),
            ("hits_at_10", "H@10"),
            ("mrr", "MRR"),
            ("hh_at_1", "HH@1"),
        )
    ),
    Metric(
        "local_hits_at_1",
        ShareIfAny,
        "ranking",
        "share of predictions nearer to the truth than to any other frame of their episode",
        detail="; empty where there is none",
        heading="local H@1",
        higher_is_better=True,
        appended="before external",
    ),
    Metric(
        "local_mrr",
        ShareIfAny,
        "ranking",
        "mean of 1 / rank of the truth among the frames of its episode",
        detail="; empty where there is none",
        heading="local MRR",
        higher_is_better=True,
        appended="before external",
    ),
    *(
        Metric(
            f"no_change_{name}",
            ShareIfAny,
            "ranking",
            f"{heading} of predicting that nothing changes",
            detail="; empty where there is none",
            appended="before external",
        )
        for name, heading in (("local_hits_at_1", "local H@1"), ("local_mrr", "local MRR"))
    ),
    Metric(
        "hh_at_1_without_first",
        ShareIfAny,
        "ranking",
        "HH@1 against the hard negatives that are not the first state again",
        detail="; empty where there is none",
        heading="HH@1 without s",
        higher_is_better=True,
        appended="before external",
    ),
    Metric(
        "no_change_hh_at_1_without_first",
        ShareIfAny,
        "ranking",
        "HH@1 without s of predicting that nothing changes",
        detail="; empty where there is none",
        appended="before external",
    ),
    *(
        Metric(
            f"th_at_1_{name}",
            ShareIfAny,
            "ranking",
            f"share of 30 steps of a turn about {axis} at which the moved latent is nearest to the true one",
            detail="; empty without rotations",
            heading=f"TH@1 {name}",
            higher_is_better=True,
            appended="before external",
        )
        for name, axis in (
            ("yaw", "the vertical axis"),
            ("pitch", "the axis to the right"),
            ("roll", "the line of sight"),
        )
    ),
    *(
        Metric(
            f"die_{name}_turned",
            Ratio,
            "equivariance",
            f"distance invariance error of the {what}, of pairs seen after one rotation",
            detail="; empty without rotations",
            heading=f"{heading} turned",
            higher_is_better=False,
            appended="before external",
        )
        for name, heading, what in (
            ("embedding", "DIE(S)", "embedding network"),
            ("model", "DIE(model)", "predictions"),
        )
    ),
    *(
        Metric(
            f"ee_{name}_undivided",
            Ratio,
            "equivariance",
            f"{heading} without division by the mean norm",
            heading=f"{heading} undivided",
            higher_is_better=False,
            appended="before external",
        )
        for name, heading in (("embedding", "EE(S)"), ("latent", "EE(z)"))
    ),
)
"""All scores, in the order of their columns."""

AVERAGED: Final = tuple(metric for metric in METRICS if metric.averaged)
"""Scores of which the leaderboard has statistics, and of which `published.csv` may have numbers."""

COMPARED: Final = tuple(metric for metric in METRICS if metric.higher_is_better is not None)
"""Scores by which models are compared."""

_BY_NAME: Final = {metric.name: metric for metric in METRICS}


def no_change(metric: Metric) -> Metric | None:
    """The score of predicting that nothing changes, to be read beside a score; None where there is none."""
    return _BY_NAME.get(f"no_change_{metric.name}")


def headline_metric(horizon: int, *, ranked_locally: bool, negatives: bool) -> Metric:
    """What a task is judged by first [ours]: local H@1, HH@1, H@1 after several steps, or else MRR.

    Args:
        horizon: Steps ahead.
        ranked_locally: Whether its models are ranked by local H@1.
        negatives: Whether it has hard negatives.
    """
    if ranked_locally:
        return _BY_NAME["local_hits_at_1"]
    if negatives:
        return _BY_NAME["hh_at_1"]
    return _BY_NAME["hits_at_1"] if horizon > 1 else _BY_NAME["mrr"]


NO_BETTER: Final = 0.9
"""Relative error from which a model counts as no better than no change [ours]."""


def no_better_than_no_change(relative_error: float) -> bool:
    """Whether a model predicts motion no better than one that predicts none; False where that is unknown."""
    return relative_error >= NO_BETTER


SHOWN: Final = tuple(
    sorted(
        (metric for metric in METRICS if metric.heading),
        key=lambda metric: get_args(Aspect).index(metric.aspect),
    )
)
"""Scores that the terminal and the page show, in the order of their columns there."""
