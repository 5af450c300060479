"""Towers in training: what an epoch does to them, how good they are, and the model they are at any time."""

import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from trainer.errors import TrainingError
from trainer.hard_negatives import mine
from trainer.histories import Histories
from trainer.item_tables import fill_content, quieten, shift_popularity
from trainer.losses import Block, loss_of
from trainer.optimizers import clip_gradients, make_optimizers
from trainer.process_group import Group
from trainer.sampling import (
    Batch,
    Candidates,
    Sampler,
    batches,
    parse_mixture,
    user_groups,
    whole_catalogue,
)
from trainer.step import Scorer, block_of
from trainer.towers import TwoTowers
from trainer.trained import EpochRecord, TrainedModel
from trainer.training_config import TrainingConfig, choose_device
from trainer.training_data import TrainingData
from trainer.warm_start import SPREAD_USERS, popularity_scores

HARD_FROM_EPOCH = 1  # mined from vectors that have seen the data once
CONTENT_STEP, CONTENT_STEPS = 0.5, 4  # down from all that content says: to a sixteenth at least
CONTENT_COST = 0.01  # of NDCG@20: what it may cost at most that videos nobody has met are listed


@dataclass
class Run:
    """One training over one set of rows, on the users of this process."""

    config: TrainingConfig
    data: TrainingData
    towers: TwoTowers
    histories: Histories
    """Of the users this process learns from: all, or its part of them."""
    scorer: nn.Module
    optimizers: list[torch.optim.Optimizer]
    group: Group
    scale: float = 0.0
    """What a score is multiplied with before the loss; fixed after the start."""

    @classmethod
    def begin(cls, towers: TwoTowers, data: TrainingData, config: TrainingConfig, group: Group) -> "Run":
        """From towers that hold their start; in a group all get those of process 0."""
        device = choose_device(config.device)
        towers = towers.to(device)
        if group.size > 1:  # torch averages no sparse gradients between processes (2.13: NotImplementedError)
            towers.item_tower.sparse = False
        scorer: nn.Module = Scorer(
            towers,
            data.features.to(device),
            data.aggregates,
            data.history.pooling_exponent,
            config.precision,
        )
        if group.size > 1:  # a batch without a history leaves the history table without a gradient
            scorer = DistributedDataParallel(scorer, find_unused_parameters=True)
        histories = data.histories if group.size == 1 else data.histories.of_part(group.rank, group.size)
        optimizers = make_optimizers(towers, config)
        return cls(config, data, towers, histories, scorer, optimizers, group)

    def take_over(self, scale: float, optimizers: list[dict[str, Any]], epoch: int) -> int:
        """Go on as process 0 does, or as before a kill; returns the epoch that is done."""
        self.scale = scale
        for optimizer, state in zip(self.optimizers, optimizers, strict=True):
            optimizer.load_state_dict(state)
        return epoch

    @torch.no_grad()
    def likeliest_scale(self) -> float:
        """The factor on scores that makes some training users' targets likeliest, from a grid of 1/2
        octaves."""
        rng = np.random.default_rng(self.config.seed)
        groups = user_groups(self.data.histories.likes, 4096, rng)
        batch = next(batches(self.data.histories, groups, self.config.held_out, rng))
        candidates = self._candidates(self._sampler(), batch, rng)
        scorer = self.scorer.module if isinstance(self.scorer, DistributedDataParallel) else self.scorer
        logits_BC = scorer(batch, candidates)
        grid = 2.0 ** np.arange(0, 10.5, 0.5)
        losses = [
            float(loss_of("softmax", self._block(batch, candidates, logits_BC * float(scale)), 0.0))
            for scale in grid
        ]
        return float(grid[int(np.argmin(losses))])

    def epoch(self, epoch: int) -> float:
        """Every user once; the mean loss. Raises TrainingError when the loss is not a number.

        Draws come from (seed, process, epoch) alone, so an epoch is the same after a kill and a resumption.
        """
        config, losses = self.config, []
        rng = np.random.default_rng([config.seed, self.group.rank, epoch])
        sampler = self._sampler(epoch)
        self.towers.train()
        groups = user_groups(self.histories.likes, max(config.batch_size // self.group.size, 1), rng)
        groups = groups[: self.group.fewest(len(groups))]
        for step, batch in enumerate(batches(self.histories, groups, config.held_out, rng), 1):
            loss = self.loss(batch, self._candidates(sampler, batch, rng))
            if not torch.isfinite(loss):
                raise TrainingError(
                    f"the loss is {loss.item()} in epoch {epoch}, step {step} (rate {config.lr:g})",
                    "lower --lr; a rate too high for the data is the usual cause",
                )
            for optimizer in self.optimizers:
                optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
            clip_gradients(self.towers, config.gradient_norm)
            for optimizer in self.optimizers:
                optimizer.step()
            losses.append(loss.item())
        return float(np.mean(losses))

    def loss(self, batch: Batch, candidates: Candidates) -> torch.Tensor:
        """The loss of one step."""
        block = self._block(batch, candidates, self.scorer(batch, candidates) * self.scale)
        return loss_of(self.config.loss, block, self.config.margin * self.scale)

    def _block(self, batch: Batch, candidates: Candidates, logits_BC: torch.Tensor) -> Block:
        return block_of(logits_BC, batch, candidates, len(self.data.features), self.config.dislike_weight)

    def _candidates(self, sampler: Sampler | None, batch: Batch, rng: np.random.Generator) -> Candidates:
        return sampler.draw(batch, rng) if sampler else whole_catalogue(len(self.data.features))

    def _sampler(self, epoch: int = 0) -> Sampler | None:
        exact = len(self.data.features) <= self.config.exact_candidates
        if exact and self.config.negatives == TrainingConfig.negatives:
            return None
        mixture, hard = parse_mixture(self.config.negatives), None
        if "hard" in mixture and epoch > HARD_FROM_EPOCH:
            model = self.model()
            v_ND, h_ND = model.item_vectors()
            hard = mine(model.user_vectors(self.histories, h_ND), v_ND, self.histories.likes)
        return Sampler(mixture, self.config.n_negatives, self.data.popularity, hard)

    def val_gains(self) -> torch.Tensor | None:
        """NDCG@20 of each validated user on the held-out rows [users]; None where there are none."""
        if not len(self.data.validation.users):
            return None
        model = self.model()
        v_ND, h_ND = model.item_vectors()
        users = model.user_vectors(self.data.validation_histories, h_ND)
        return torch.from_numpy(self.data.validation.gains(users, v_ND))

    def fill_content(self, share: float) -> None:
        """Content from the vectors as training left them, of taste a share of it; on the CPU from now on."""
        self.towers = self.towers.to("cpu")
        fill_content(self.towers, self.data.features, self.data.histories.likes)
        if self.towers.n_ranked:
            quieten(self.towers, self.data.features, share)

    def make_less_popular(self) -> None:
        """What is liked more often than others gives way, as far as `less_popular` says.

        The correction of Menon et al. 2021 (Long-tail learning via logit adjustment, equation 9), written
        into the item vectors, so that lists, files and SQL have it without knowing.
        """
        likes, n_ranked = self.data.histories.likes, self.towers.n_ranked
        if not self.config.less_popular or not n_ranked:
            return
        model = self.model()
        users = np.flatnonzero(np.diff(likes.starts))[:SPREAD_USERS]
        v_ND, h_ND = model.item_vectors()
        u_BD = model.user_vectors(self.data.histories.take(users), h_ND)
        personal = slice(0, n_ranked - 1)
        spread = np.std(u_BD[:, personal] @ v_ND[:, personal].T, axis=1).mean()
        heard = max(float(u_BD[:, n_ranked - 1].mean()), 1e-9)  # how far users listen to popularity
        unknown = np.full(len(likes.items), np.nan)
        popularity = popularity_scores(likes.items, unknown, len(v_ND), None)
        by = -self.config.less_popular * spread / heard * popularity
        shift_popularity(self.towers, self.data.features, torch.from_numpy(by.astype(np.float32)))

    def content_share(self) -> float:
        """How loudly content may speak of videos nobody has met: the most that costs held-out likes next to
        nothing. 1 where nothing is validated."""
        if not len(self.data.validation.users) or not self.towers.n_ranked:
            return 1.0
        trial = replace(self, towers=copy.deepcopy(self.towers))
        trial.fill_content(1.0)
        ndcg = []
        for step in range(CONTENT_STEPS + 1):
            if step:
                quieten(trial.towers, self.data.features, CONTENT_STEP)
            gains = trial.val_gains()
            ndcg.append(float(gains.mean()) if gains is not None else 0.0)
        loud_enough = next(step for step, one in enumerate(ndcg) if one >= (1 - CONTENT_COST) * max(ndcg))
        return float(CONTENT_STEP**loud_enough)

    def model(self, curve: list[EpochRecord] | None = None, seconds: float = 0.0) -> TrainedModel:
        """The model as it stands, on the CPU."""
        on_cpu = next(self.towers.parameters()).device.type == "cpu"
        towers = self.towers if on_cpu else copy.deepcopy(self.towers).to("cpu")
        return TrainedModel(
            towers.eval(),
            self.data.vocabularies,
            self.data.history,
            self.data.aggregates,
            self.config.to_json(),
            self.data.features,
            curve or [],
            seconds,
        )
