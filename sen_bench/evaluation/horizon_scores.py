"""What evaluation says of a model at one horizon."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HorizonScores:
    """The scores of one model at one horizon (science: §4); shares are in [0, 1].

    Attributes:
        horizon: Steps predicted ahead, p.
        episodes: How many episodes were ranked, N; chance is about k / N for H@k.
        hits_at_1: Share of true latents whose prediction ranks first; tied predictions share their mean rank.
        hits_at_5: The same for rank 5 or better.
        hits_at_10: The same for rank 10 or better.
        mrr: Mean reciprocal rank, from mean ranks over ties.
        hits_at_1_optimistic: H@1 by the public code's tie rule, which a collapsed encoder wins.
        mrr_optimistic: MRR by the public code's tie rule.
        hh_at_1: HH@1, share of predictions nearer to the true latent than to every hard negative; NaN where
            the episodes have none.
        ee_embedding: EE(S) on the first observations and their twins; the same at every horizon.
        ee_latent: EE(E∘S), the same for their latents; NaN where E and T are not equivariant.
        die_embedding: DIE(S) on random pairs of first observations; the same at every horizon. NaN where no
            two twins share their element, as for SO(3).
        die_model: DIE of p-step predictions against random true latents p steps ahead; NaN in the same case.
        relative_error: RMS error of those predictions, relative to that of predicting no change; NaN where no
            latent changes.
        latent_spread: RMS distance of the true latents p steps ahead from their mean.
        separation: Mean over random pairs of those latents of min(1, energy / margin).
        collapsed: Whether `separation` says that the encoder has collapsed.
        no_change_hits_at_1: H@1 of predicting that nothing changes: of the latents of the first observations
            in place of the predictions.
        no_change_hits_at_5: The same for rank 5 or better.
        no_change_hits_at_10: The same for rank 10 or better.
        no_change_mrr: MRR of predicting that nothing changes.
        no_change_hh_at_1: HH@1 of predicting that nothing changes; NaN where there are no negatives.
        local_hits_at_1: Share of predictions nearer to their true latent than to that of any other frame of
            their episode, the first included (`rank_in_episode`), over the first `LOCAL_EPISODES`; NaN where
            no episode has another frame to compare with, or episodes have one step.
        local_mrr: Mean reciprocal rank of the true latent among those frames; NaN likewise.
        no_change_local_hits_at_1: The first of the two of predicting that nothing changes.
        no_change_local_mrr: The second of the two of predicting that nothing changes.
        hh_at_1_without_first: HH@1 against the hard negatives that are not the first state again; NaN where
            there are none.
        no_change_hh_at_1_without_first: The same of predicting that nothing changes.
        th_at_1_yaw: TH@1, share of the steps of a traversal about the vertical axis at which the moved latent
            is nearest to that of the object truly turned so far (`traversal_scores`); the same at every
            horizon. NaN where nothing can be turned at will.
        th_at_1_pitch: The same about the axis to the right of the picture.
        th_at_1_roll: The same about the line of sight.
        die_embedding_turned: DIE(S) on random pairs of which the second is rendered after the rotation of the
            first one's twin; the same at every horizon. NaN where nothing can be turned at will.
        die_model_turned: DIE of p-step predictions for the first episodes of these pairs against true latents
            of the second ones; NaN in the same case.
        ee_embedding_undivided: EE(S) without division by the mean norm.
        ee_latent_undivided: EE(E∘S) without division by the mean norm; NaN where that is.
    """

    horizon: int
    episodes: int
    hits_at_1: float
    hits_at_5: float
    hits_at_10: float
    mrr: float
    hits_at_1_optimistic: float
    mrr_optimistic: float
    hh_at_1: float
    ee_embedding: float
    ee_latent: float
    die_embedding: float
    die_model: float
    relative_error: float
    latent_spread: float
    separation: float
    collapsed: bool
    no_change_hits_at_1: float
    no_change_hits_at_5: float
    no_change_hits_at_10: float
    no_change_mrr: float
    no_change_hh_at_1: float
    local_hits_at_1: float
    local_mrr: float
    no_change_local_hits_at_1: float
    no_change_local_mrr: float
    hh_at_1_without_first: float
    no_change_hh_at_1_without_first: float
    th_at_1_yaw: float
    th_at_1_pitch: float
    th_at_1_roll: float
    die_embedding_turned: float
    die_model_turned: float
    ee_embedding_undivided: float
    ee_latent_undivided: float
