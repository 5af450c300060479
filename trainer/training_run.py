"""Towers in training: what an epoch does to them, how good they are, and the model they are at any time."""

import copy
from dataclasses import dataclass

import numpy as np
import torch

from trainer.errors import TrainingError
from trainer.features import ItemFeatures
from trainer.hard_negatives import mine
from trainer.item_tables import refit_content
from trainer.losses import Block, loss_of
from trainer.optimizers import clip_gradients, make_optimizers
from trainer.sampling import Batch, Candidates, Sampler, batches, parse_mixture, whole_catalogue
from trainer.step import Scorer, block_of
from trainer.towers import TwoTowers
from trainer.trained import EpochRecord, TrainedModel
from trainer.training_config import TrainingConfig, choose_device
from trainer.training_data import TrainingData

HARD_FROM_EPOCH = 1  # mined from vectors that have seen the data once


@dataclass
class Run:
    """One training over one set of rows."""

    config: TrainingConfig
    data: TrainingData
    towers: TwoTowers
    features: ItemFeatures
    """Those of `data`, on the device of the towers."""
    scorer: Scorer
    rng: np.random.Generator
    optimizers: list[torch.optim.Optimizer]
    scale: float
    """What a score is multiplied with before the loss; fixed after the start."""

    @classmethod
    def begin(cls, towers: TwoTowers, data: TrainingData, config: TrainingConfig, scale: float) -> "Run":
        """From towers that hold their start; a scale of 0 is chosen here."""
        device = choose_device(config.device)
        towers, features = towers.to(device), data.features.to(device)
        run = cls(
            config,
            data,
            towers,
            features,
            Scorer(towers, features, data.aggregates, data.history.pooling_exponent),
            np.random.default_rng(config.seed),
            make_optimizers(towers, config),
            scale or (1 / config.temperature if config.temperature else 0.0),
        )
        run.scale = run.scale or run.likeliest_scale()
        return run

    @torch.no_grad()
    def likeliest_scale(self) -> float:
        """The factor on scores that makes some training users' targets likeliest, from a grid of 1/2
        octaves."""
        rng = np.random.default_rng(self.config.seed)
        likes, dislikes = self.data.histories.likes, self.data.histories.dislikes
        batch = next(batches(likes, dislikes, 4096, self.config.held_out, rng))
        candidates = self._candidates(self._sampler(), batch, rng)
        logits_BC = self.scorer(batch, candidates)
        grid = 2.0 ** np.arange(0, 10.5, 0.5)
        losses = [
            float(loss_of("softmax", self._block(batch, candidates, logits_BC * float(scale)), 0.0))
            for scale in grid
        ]
        return float(grid[int(np.argmin(losses))])

    def epoch(self, epoch: int) -> float:
        """Every user once; the mean loss. Raises TrainingError when the loss is not a number."""
        config, histories, losses = self.config, self.data.histories, []
        sampler = self._sampler(epoch)
        self.towers.train()
        parts = batches(histories.likes, histories.dislikes, config.batch_size, config.held_out, self.rng)
        for step, batch in enumerate(parts, 1):
            loss = self.loss(batch, self._candidates(sampler, batch, self.rng))
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
        return block_of(logits_BC, batch, candidates, len(self.features), self.config.dislike_weight)

    def _candidates(self, sampler: Sampler | None, batch: Batch, rng: np.random.Generator) -> Candidates:
        return sampler.draw(batch, rng) if sampler else whole_catalogue(len(self.features))

    def _sampler(self, epoch: int = 0) -> Sampler | None:
        exact = len(self.features) <= self.config.exact_candidates
        if exact and self.config.negatives == TrainingConfig.negatives:
            return None
        likes, mixture = self.data.histories.likes, parse_mixture(self.config.negatives)
        popularity = np.bincount(likes.items, minlength=len(self.features)).astype(np.float64)
        hard = None
        if "hard" in mixture and epoch > HARD_FROM_EPOCH:
            model = self.model()
            v_ND, h_ND = model.item_vectors()
            hard = mine(model.user_vectors(self.data.histories, h_ND), v_ND, likes)
        return Sampler(mixture, self.config.n_negatives, popularity / popularity.sum(), hard)

    def val_ndcg(self) -> float | None:
        """NDCG@20 on the held-out rows; None where there are none."""
        if not len(self.data.validation.users):
            return None
        model = self.model()
        v_ND, h_ND = model.item_vectors()
        return self.data.validation.ndcg(model.user_vectors(self.data.validation_histories, h_ND), v_ND)

    def refit_content(self) -> None:
        """Content from the vectors as training left them; on the CPU from here on."""
        self.towers = self.towers.to("cpu")
        refit_content(self.towers, self.data.features, self.data.histories.likes)

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
