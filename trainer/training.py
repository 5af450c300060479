"""Training: from a mart to a TrainedModel. One step: users, half of whose likes must be found from the other half.

Shapes: B users, C candidate videos, N videos of the catalogue, D dimensions.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from trainer.errors import TrainingError, UsageError
from trainer.features import ItemFeatures, Vocabularies, encode, fit_vocabularies
from trainer.histories import AggregateTable, Histories, HistoryConfig, build_histories, fit_aggregates
from trainer.losses import NEVER, Block, loss_of
from trainer.mart import TEST, TRAIN, VAL, Mart
from trainer.sampling import Batch, Candidates, Sampler, batches, parse_mixture, whole_catalogue
from trainer.towers import TwoTowers
from trainer.trained import EpochRecord, TrainedModel, pool_pairs
from trainer.validation import Validation
from trainer.warm_start import random_start, svd_start

__all__ = ["EpochRecord", "TrainedModel", "TrainingConfig", "fit"]

Progress = Callable[[EpochRecord], None]


@dataclass(frozen=True)
class TrainingConfig:
    """Every dial. The defaults were measured; see the README's decisions."""

    embedding_dim: int = 256
    epochs: int = 20
    """At most; early stopping usually ends sooner."""
    patience: int = 3
    """Epochs without a better validation before training stops; the best epoch is kept."""
    batch_size: int = 2048
    """Likes per step (not users: a step costs and learns about the same on sparse and on dense data)."""
    lr: float = 1e-3
    temperature: float = 0.1
    """Fixed: a learned one ran away and overfitted."""
    loss: Literal["softmax", "bce", "hinge"] = "softmax"
    margin: float = 1.0
    negatives: str = "random=0.5,popular=0.5"
    n_negatives: int = 8192
    exact_candidates: int = 60_000
    """Catalogues up to this size are compared as a whole: no sampling, no correction."""
    held_out: tuple[float, float] = (0.2, 0.8)
    """Share of a user's likes that are targets in a step, drawn evenly between the two."""
    dislike_weight: float = 2.0
    """An explicit dislike counts as this many ordinary negatives."""
    id_dropout: float = 0.1
    """Share of videos that stand on their content alone in a step; only where there is content."""
    hidden_units: int = 0
    start: Literal["svd", "random"] = "svd"
    use_content: bool = True
    gradient_norm: float = 5.0
    refit: bool = True
    """After early stopping on a held-out tenth: train again on everything for the epochs found."""
    seed: int = 0
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    history: HistoryConfig = field(default_factory=HistoryConfig)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def fit(mart: Mart, config: TrainingConfig, on_progress: Progress | None = None) -> TrainedModel:
    """Train on the training split of a mart; early stopping never looks at the holdout.

    Raises TrainingError: the loss is not a number (step and likely cause); UsageError: a dial out of range.
    """
    check_config(config)
    started = time.perf_counter()
    rows = mart.interactions
    has_test = bool((rows.split == TEST).any())
    if has_test and (rows.split == VAL).any():
        run = Run.prepare(mart, config, rows.split == TRAIN, rows.split == VAL)
        curve = run.train(config.epochs, on_progress)
        return run.finish(curve, time.perf_counter() - started)
    held = hashed_tenth(mart)
    run = Run.prepare(mart, config, (rows.split == TRAIN) & ~held, held)
    curve = run.train(config.epochs, on_progress)
    if config.refit and run.validation.n_users:
        best = max(
            (record for record in curve if record.val_ndcg is not None), key=lambda r: r.val_ndcg or 0.0
        )
        run = Run.prepare(mart, config, rows.split == TRAIN, np.zeros(len(rows), np.bool_))
        run.train(best.epoch, None)
    return run.finish(curve, time.perf_counter() - started)


def check_config(config: TrainingConfig) -> None:
    """Stop dials that cannot work. Raises UsageError with the option and its value."""
    positive = {
        "--embedding-dim": config.embedding_dim,
        "--epochs": config.epochs,
        "--batch-size": config.batch_size,
        "--lr": config.lr,
        "temperature": config.temperature,
    }
    for name, value in positive.items():
        if not 0 < value < float("inf"):
            raise UsageError(f"{name} is {value}", "it must be above 0")
    parse_mixture(config.negatives)


def choose_device(name: str) -> torch.device:
    """`auto` takes cuda, then mps, then cpu. Raises UsageError when a device asked for is not there."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    if not available.get(name, False):
        raise UsageError(f"--device {name} is not available on this machine", "use --device auto or cpu")
    return torch.device(name)


def hashed_tenth(mart: Mart) -> npt.NDArray[np.bool_]:
    """A tenth of the training rows, the same on every machine; a user's only training row is never taken."""
    rows = mart.interactions
    train = rows.split == TRAIN
    mixed = rows.user_index.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= rows.item_index.astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
    mixed ^= mixed >> np.uint64(31)
    mixed *= np.uint64(0xD6E8FEB86659FD93)
    held = train & ((mixed >> np.uint64(40)) % np.uint64(10) == 0)
    n_train = np.bincount(rows.user_index[train], minlength=len(mart.user_keys))
    n_held = np.bincount(rows.user_index[held], minlength=len(mart.user_keys))
    has_more: npt.NDArray[np.bool_] = (n_train > n_held)[rows.user_index]
    return np.logical_and(held, has_more)


@dataclass
class Run:
    """One training over one set of rows: towers, optimiser, data."""

    config: TrainingConfig
    mart: Mart
    vocabularies: Vocabularies
    features: ItemFeatures
    aggregates: AggregateTable
    histories: Histories
    validation: Validation
    towers: TwoTowers
    device: torch.device
    rng: np.random.Generator
    optimizers: list[torch.optim.Optimizer]

    @classmethod
    def prepare(
        cls, mart: Mart, config: TrainingConfig, mask: npt.NDArray[np.bool_], held: npt.NDArray[np.bool_]
    ) -> "Run":
        """Features, histories and warm start from the rows of `mask`; validation on the rows of `held`."""
        torch.manual_seed(config.seed)
        catalogue = mart.catalogue
        vocabularies = fit_vocabularies(mart, mask, use_content=config.use_content)
        everything = replace(config.history, max_likes=1 << 30, half_life_days=None)
        first = build_histories(
            mart, "train", everything, AggregateTable([], np.zeros((len(catalogue), 0))), mask
        )
        aggregates = fit_aggregates(catalogue, first.likes, first.dislikes)
        device = choose_device(config.device)
        sparse = len(catalogue) > config.exact_candidates
        towers = TwoTowers(
            n_videos=len(vocabularies.videos),
            n_categories=vocabularies.n_categories,
            n_dense=vocabularies.n_dense,
            n_aggregates=len(aggregates.aggregates),
            dim=config.embedding_dim,
            hidden_units=config.hidden_units,
            sparse=sparse,
        )
        features = encode(catalogue, vocabularies)
        warm = svd_start if config.start == "svd" else random_start
        start = warm(first.likes, len(catalogue), config.embedding_dim, config.seed)
        known = np.flatnonzero(features.id_index.numpy() > 0)
        with torch.no_grad():
            rows = features.id_index[known]
            towers.item_tower.id_embedding_ID[rows] = torch.from_numpy(start.embedding[known])
            towers.item_tower.id_history_ID[rows] = torch.from_numpy(start.history[known])
        histories = build_histories(mart, "train", config.history, aggregates, mask)
        return cls(
            config=config,
            mart=mart,
            vocabularies=vocabularies,
            features=features.to(device),
            aggregates=aggregates,
            histories=histories,
            validation=Validation.of(mart, mask, held, seed=config.seed),
            towers=towers.to(device),
            device=device,
            rng=np.random.default_rng(config.seed),
            optimizers=make_optimizers(towers, config.lr, sparse),
        )

    def train(self, epochs: int, on_progress: Progress | None) -> list[EpochRecord]:
        """Epochs until the validation stops improving; the weights of the best epoch are kept."""
        curve: list[EpochRecord] = []
        best, best_state = -1.0, None
        for epoch in range(1, epochs + 1):
            started = time.perf_counter()
            loss = self.epoch(epoch)
            ndcg = self.validation.ndcg(self.finish([], 0.0)) if self.validation.n_users else None
            curve.append(EpochRecord(epoch, loss, ndcg, time.perf_counter() - started))
            if on_progress:
                on_progress(curve[-1])
            if ndcg is None:
                continue
            if ndcg > best:
                best, best_state = ndcg, {k: v.clone() for k, v in self.towers.state_dict().items()}
            elif epoch - max(curve, key=lambda r: r.val_ndcg or 0.0).epoch >= self.config.patience:
                break
        if best_state is not None:
            self.towers.load_state_dict(best_state)
        return curve

    def epoch(self, epoch: int) -> float:
        """Every user once; the mean loss. Raises TrainingError when the loss is not a number."""
        config, losses = self.config, []
        self.towers.train()
        sampler = self._sampler(epoch)
        for step, batch in enumerate(
            batches(
                self.histories.likes, self.histories.dislikes, config.batch_size, config.held_out, self.rng
            ),
            1,
        ):
            candidates = (
                whole_catalogue(len(self.features)) if sampler is None else sampler.draw(batch, self.rng)
            )
            loss = self.loss(batch, candidates)
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
        config, device = self.config, self.device
        needed = np.union1d(candidates.items, batch.known.items)
        if len(batch.dislikes.items):
            needed = np.union1d(needed, batch.dislikes.items)
        place = np.zeros(len(self.features), np.int64)  # video -> row among the needed
        place[needed] = np.arange(len(needed))
        features = (
            self.features
            if len(needed) == len(self.features)
            else self.features.take(torch.from_numpy(needed).to(device))
        )
        keep = None
        if config.id_dropout > 0 and self.towers.item_tower.has_content:
            keep = torch.from_numpy(self.rng.random(len(needed)) >= config.id_dropout).to(device)
        v_ND, h_ND = self.towers.item(features, keep)
        exponent = config.history.pooling_exponent
        p_BD = pool_pairs(h_ND, replace(batch.inputs, items=place[batch.inputs.items]), exponent)
        q_BD = pool_pairs(h_ND, replace(batch.dislikes, items=place[batch.dislikes.items]), exponent)
        a_BK = torch.from_numpy(self.aggregates.compute(batch.inputs, batch.dislikes)).to(device)
        u_BD = self.towers.user(p_BD, q_BD, a_BK)
        columns = candidates.items
        v_CD = v_ND if len(columns) == len(needed) else v_ND[torch.from_numpy(place[columns]).to(device)]
        logits_BC = u_BD @ v_CD.T / config.temperature
        return loss_of(
            config.loss, self._block(batch, candidates, logits_BC), config.margin / config.temperature
        )

    def _block(self, batch: Batch, candidates: Candidates, logits_BC: torch.Tensor) -> Block:
        column = np.full(len(self.features), -1, np.int64)
        column[candidates.items] = np.arange(len(candidates.items))
        weights = np.tile(candidates.log_weights, (len(batch.users), 1))
        found = column[batch.dislikes.items]
        weights[batch.dislikes.rows, found] = np.log(self.config.dislike_weight)
        found = column[batch.known.items]
        weights[batch.known.rows[found >= 0], found[found >= 0]] = NEVER
        rows = batch.targets.rows
        return Block(
            logits_BC,
            torch.from_numpy(weights).to(self.device),
            torch.from_numpy(rows).to(self.device),
            torch.from_numpy(column[batch.targets.items]).to(self.device),
            torch.ones(len(rows), device=self.device),
        )

    def _sampler(self, epoch: int) -> Sampler | None:
        if (
            len(self.features) <= self.config.exact_candidates
            and self.config.negatives == TrainingConfig.negatives
        ):
            return None
        popularity = np.bincount(self.histories.likes.items, minlength=len(self.features)).astype(np.float64)
        mixture = parse_mixture(self.config.negatives)
        return Sampler(mixture, self.config.n_negatives, popularity / popularity.sum())

    def finish(self, curve: list[EpochRecord], seconds: float) -> TrainedModel:
        """The model as it stands, on the CPU."""
        towers = (self.towers if self.device.type == "cpu" else copy.deepcopy(self.towers).to("cpu")).eval()
        model = TrainedModel(
            towers,
            self.vocabularies,
            self.config.history,
            self.aggregates,
            self.config.to_json(),
            self.features.to("cpu"),
            curve,
            seconds,
        )
        return model


def make_optimizers(towers: TwoTowers, lr: float, sparse: bool) -> list[torch.optim.Optimizer]:
    """Adam; large tables by rows touched, so that a step costs the same however long the tables are."""
    tables = [p for name, p in towers.named_parameters() if name.endswith(("_ID", "_GC"))] if sparse else []
    ids = {id(table) for table in tables}
    rest = [p for p in towers.parameters() if id(p) not in ids]
    optimizers: list[torch.optim.Optimizer] = [torch.optim.Adam(rest, lr=lr, fused=True)]
    return [*optimizers, torch.optim.SparseAdam(tables, lr=lr)] if tables else optimizers


def clip_gradients(towers: TwoTowers, most: float) -> None:
    """Scale all gradients so that their common norm is at most `most`; sparse gradients are coalesced first."""
    values = []
    for parameter in towers.parameters():
        if parameter.grad is None:
            continue
        if parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()
        values.append(parameter.grad.values() if parameter.grad.is_sparse else parameter.grad)
    norm = torch.stack([value.norm() for value in values]).norm()
    if norm > most:
        for value in values:
            value.mul_(most / norm)
