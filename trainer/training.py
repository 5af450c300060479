"""Training: from a mart to a TrainedModel. One step: users, half of whose likes must be found from the
other half.

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
from torch.nn import functional

from trainer.choose_start import Chosen, StartChooser
from trainer.content_start import fit_content
from trainer.errors import TrainingError, UsageError
from trainer.features import ItemFeatures, Vocabularies, encode, fit_vocabularies
from trainer.hard_negatives import mine
from trainer.held_out import held_out_rows
from trainer.histories import AggregateTable, Histories, HistoryConfig, Pairs, build_histories, fit_aggregates
from trainer.losses import NEVER, Block, loss_of
from trainer.mart import TRAIN, Mart
from trainer.sampling import Batch, Candidates, Sampler, batches, parse_mixture, whole_catalogue
from trainer.towers import TwoTowers
from trainer.trained import EpochRecord, TrainedModel, pool_pairs
from trainer.validation import Validation
from trainer.warm_start import Dials, Start, random_start

__all__ = ["EpochRecord", "TrainedModel", "TrainingConfig", "fit"]

HARD_FROM_EPOCH = 1  # mined from vectors that have seen the data once

Progress = Callable[[EpochRecord], None]


@dataclass(frozen=True)
class TrainingConfig:
    """Every dial. Penalty, popularity and half-lives are chosen per mart on held-out rows.

    Not yet measured: history length, pooling exponent, dislike weight, dimension.
    """

    embedding_dim: int = 256
    epochs: int = 3
    """At most; early stopping usually ends sooner."""
    patience: int = 1
    """Epochs without a better validation before training stops; the best epoch is kept."""
    batch_size: int = 8192
    """Likes per step (not users: a step costs and learns about the same on sparse and on dense data)."""
    lr: float = 5e-5
    temperature: float | None = None
    """Fixed while training; a learned one was not tried here. None: the likeliest one at the start."""
    loss: Literal["softmax", "bce", "hinge"] = "softmax"
    margin: float = 1.0
    negatives: str = "random=0.5,popular=0.5"
    n_negatives: int = 4096
    exact_candidates: int = 16_384
    """Catalogues up to this size are compared as a whole: no sampling, no correction."""
    held_out: tuple[float, float] = (0.2, 0.8)
    """Share of a user's likes that are targets in a step, drawn evenly between the two."""
    dislike_weight: float = 2.0
    """An explicit dislike counts as this many ordinary negatives."""
    hidden_units: int = 0
    start: Literal["regression", "random"] = "regression"
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
    held = held_out_rows(mart)
    run = Run.prepare(mart, config, (rows.split == TRAIN) & ~held, held)
    curve = run.train(config.epochs, on_progress)
    took_training_rows = bool((held & (rows.split == TRAIN)).any())
    if config.refit and took_training_rows and len(run.validation.users):
        best = max(curve, key=lambda record: record.val_ndcg or 0.0)
        nothing = np.zeros(len(rows), np.bool_)
        run = Run.prepare(mart, config, rows.split == TRAIN, nothing, chosen=run.chosen, scale=run.scale)
        run.train(best.epoch, None)
    run.refit_content()
    return run.finish(curve, time.perf_counter() - started)


def check_config(config: TrainingConfig) -> None:
    """Stop dials that cannot work. Raises UsageError with the option and its value."""
    positive = {
        "--embedding-dim": config.embedding_dim,
        "--epochs": config.epochs,
        "--batch-size": config.batch_size,
        "--lr": config.lr,
    }
    for name, value in positive.items():
        if not 0 < value < float("inf"):
            raise UsageError(f"{name} is {value}", "it must be above 0")
    if config.embedding_dim < 4:
        raise UsageError(f"--embedding-dim is {config.embedding_dim}", "it must be at least 4")
    parse_mixture(config.negatives)


def choose_device(name: str) -> torch.device:
    """`auto` takes cuda, then mps, then cpu. Raises UsageError when a device asked for is not there."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    if not available.get(name, False):
        raise UsageError(f"--device {name} is not available on this machine", "use --device auto or cpu")
    return torch.device(name)


@dataclass
class Run:
    """One training over one set of rows: towers, optimiser, data."""

    config: TrainingConfig
    history: HistoryConfig
    vocabularies: Vocabularies
    features: ItemFeatures
    aggregates: AggregateTable
    histories: Histories
    validation: Validation
    validation_histories: Histories
    chosen: Chosen
    towers: TwoTowers
    device: torch.device
    rng: np.random.Generator
    optimizers: list[torch.optim.Optimizer]
    scale: float = 0.0
    """What a score is multiplied with before the loss; fixed after the start."""

    @classmethod
    def prepare(
        cls,
        mart: Mart,
        config: TrainingConfig,
        mask: npt.NDArray[np.bool_],
        held: npt.NDArray[np.bool_],
        *,
        chosen: Chosen | None = None,
        scale: float = 0.0,
    ) -> "Run":
        """Features, histories and start from the rows of `mask`; what is chosen is chosen on the rows of
        `held`."""
        torch.manual_seed(config.seed)
        n_items = len(mart.catalogue)
        validation = Validation.of(mart, mask, held, seed=config.seed)
        start, chosen = choose_start(mart, config, mask, validation, chosen)
        history = replace(config.history, half_life_days=chosen.half_life_days)
        vocabularies = fit_vocabularies(mart, mask, use_content=config.use_content)
        features = encode(mart.catalogue, vocabularies)
        bare = build_histories(mart, "train", history, AggregateTable([], np.zeros((n_items, 0))), mask)
        aggregates = fit_aggregates(mart.catalogue, bare.likes, bare.dislikes)
        histories = replace(bare, aggregates=aggregates.compute(bare.likes, bare.dislikes))
        towers = TwoTowers(
            n_videos=len(vocabularies.videos),
            n_categories=vocabularies.n_categories,
            n_dense=vocabularies.n_dense,
            n_aggregates=len(aggregates.aggregates),
            dim=config.embedding_dim,
            hidden_units=config.hidden_units,
            sparse=n_items > config.exact_candidates,
        )
        write_start(towers, features, start, histories.likes)
        device = choose_device(config.device)
        towers = towers.to(device)
        run = cls(
            config=config,
            history=history,
            vocabularies=vocabularies,
            features=features.to(device),
            aggregates=aggregates,
            histories=histories,
            validation=validation,
            validation_histories=histories.take(validation.users),
            chosen=chosen,
            towers=towers,
            device=device,
            rng=np.random.default_rng(config.seed),
            optimizers=make_optimizers(towers, config),
        )
        run.scale = scale or (1 / config.temperature if config.temperature else run.likeliest_scale())
        return run

    def train(self, epochs: int, on_progress: Progress | None) -> list[EpochRecord]:
        """Epochs until the validation stops improving; the weights of the best one are kept, the start's
        included."""
        curve = [EpochRecord(0, float("nan"), self.val_ndcg(), 0.0)]
        best = 0, curve[0].val_ndcg or 0.0
        best_state = copy.deepcopy(self.towers.state_dict())
        for epoch in range(epochs + 1):
            if epoch:
                started = time.perf_counter()
                loss = self.epoch(epoch)
                curve.append(EpochRecord(epoch, loss, self.val_ndcg(), time.perf_counter() - started))
            if on_progress:
                on_progress(curve[-1])
            ndcg = curve[-1].val_ndcg
            if ndcg is None:
                continue
            if ndcg > best[1]:
                best, best_state = (epoch, ndcg), copy.deepcopy(self.towers.state_dict())
            elif epoch - best[0] >= self.config.patience:
                break
        if curve[-1].val_ndcg is not None:
            self.towers.load_state_dict(best_state)
        return curve

    def val_ndcg(self) -> float | None:
        """NDCG@20 on the held-out rows; None where there are none."""
        if not len(self.validation.users):
            return None
        model = self.finish([], 0.0)
        v_ND, h_ND = model.item_vectors()
        return self.validation.ndcg(model.user_vectors(self.validation_histories, h_ND), v_ND)

    @torch.no_grad()
    def likeliest_scale(self) -> float:
        """The factor on scores that makes some training users' targets likeliest, from a grid of 1/2
        octaves."""
        rng = np.random.default_rng(self.config.seed)
        batch = next(batches(self.histories.likes, self.histories.dislikes, 4096, self.config.held_out, rng))
        sampler = self._sampler()
        candidates = sampler.draw(batch, rng) if sampler else whole_catalogue(len(self.features))
        logits_BC = self.scores(batch, candidates)
        grid = 2.0 ** np.arange(0, 10.5, 0.5)
        losses = [
            float(loss_of("softmax", self._block(batch, candidates, logits_BC * float(scale)), 0.0))
            for scale in grid
        ]
        return float(grid[int(np.argmin(losses))])

    def epoch(self, epoch: int) -> float:
        """Every user once; the mean loss. Raises TrainingError when the loss is not a number."""
        config, losses = self.config, []
        sampler = self._sampler(epoch)
        self.towers.train()
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
        block = self._block(batch, candidates, self.scores(batch, candidates) * self.scale)
        return loss_of(self.config.loss, block, self.config.margin * self.scale)

    def scores(self, batch: Batch, candidates: Candidates) -> torch.Tensor:
        """u . v [B, C], u from the inputs of the batch and not yet of unit length."""
        device = self.device
        needed = np.unique(np.concatenate([candidates.items, batch.known.items, batch.dislikes.items]))
        place = np.zeros(len(self.features), np.int64)  # video -> row among the needed
        place[needed] = np.arange(len(needed))
        whole = len(needed) == len(self.features)
        features = self.features if whole else self.features.take(torch.from_numpy(needed).to(device))
        v_ND, h_ND = self.towers.item(features)
        exponent = self.history.pooling_exponent
        p_BD = pool_pairs(h_ND, replace(batch.inputs, items=place[batch.inputs.items]), exponent)
        q_BD = pool_pairs(h_ND, replace(batch.dislikes, items=place[batch.dislikes.items]), exponent)
        a_BK = torch.from_numpy(self.aggregates.compute(batch.inputs, batch.dislikes)).to(device)
        u_BD = self.towers.user_tower.unscaled(p_BD, q_BD, a_BK)
        columns = candidates.items
        v_CD = v_ND if len(columns) == len(needed) else v_ND[torch.from_numpy(place[columns]).to(device)]
        return u_BD @ v_CD.T

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

    def _sampler(self, epoch: int = 0) -> Sampler | None:
        exact = len(self.features) <= self.config.exact_candidates
        if exact and self.config.negatives == TrainingConfig.negatives:
            return None
        likes, mixture = self.histories.likes, parse_mixture(self.config.negatives)
        popularity = np.bincount(likes.items, minlength=len(self.features)).astype(np.float64)
        hard = None
        if "hard" in mixture and epoch > HARD_FROM_EPOCH:
            model = self.finish([], 0.0)
            v_ND, h_ND = model.item_vectors()
            hard = mine(model.user_vectors(self.histories, h_ND), v_ND, likes)
        return Sampler(mixture, self.config.n_negatives, popularity / popularity.sum(), hard)

    @torch.no_grad()
    def refit_content(self) -> None:
        """Content from the vectors as training left them; the vectors of known videos stay as they are."""
        features, tower = self.features.to("cpu"), self.towers.to("cpu").item_tower
        if not tower.has_content:
            return
        ids = torch.cat([tower.id_embedding_ID, tower.id_history_ID], dim=1)[features.id_index]
        totals_N2D = ids + tower.content(features)
        v_ND = functional.normalize(totals_N2D[:, : self.towers.dim], dim=1)
        tables_N2D = torch.cat([v_ND, totals_N2D[:, self.towers.dim :]], dim=1)
        write_videos(self.towers, features, tables_N2D, self.histories.likes)

    def finish(self, curve: list[EpochRecord], seconds: float) -> TrainedModel:
        """The model as it stands, on the CPU."""
        towers = (self.towers if self.device.type == "cpu" else copy.deepcopy(self.towers).to("cpu")).eval()
        model = TrainedModel(
            towers,
            self.vocabularies,
            self.history,
            self.aggregates,
            self.config.to_json(),
            self.features.to("cpu"),
            curve,
            seconds,
        )
        return model


def choose_start(
    mart: Mart,
    config: TrainingConfig,
    mask: npt.NDArray[np.bool_],
    validation: Validation,
    chosen: Chosen | None,
) -> tuple[Start, Chosen]:
    """The start of a training and its dials: given, or the best on the validation."""
    if config.start == "random":
        plain = Chosen(Dials(), config.history.half_life_days)
        return random_start(len(mart.catalogue), config.embedding_dim, config.seed), plain
    chooser = StartChooser(mart, mask, config.history, config.embedding_dim, config.seed)
    chosen = chosen or chooser.choose(validation)
    return chooser.start(chosen.dials), chosen


@torch.no_grad()
def write_start(towers: TwoTowers, features: ItemFeatures, start: Start, likes: Pairs) -> None:
    """The start into the towers."""
    tower = towers.item_tower
    tower.id_embedding_ID[0], tower.id_history_ID[0] = torch.from_numpy(start.unknown).chunk(2)
    towers.user_tower.skip.bias.copy_(torch.from_numpy(start.bias))
    tables = np.concatenate([start.embedding, start.history], axis=1)
    write_videos(towers, features, torch.from_numpy(tables), likes)


@torch.no_grad()
def write_videos(towers: TwoTowers, features: ItemFeatures, tables_N2D: torch.Tensor, likes: Pairs) -> None:
    """Vectors of known videos into the item tower: content explains what it can, the id rows hold the rest.

    Where row 0, the unknown video, is long, content explains nothing: those coordinates are popularity, which
    an unrated video has not, and the one that keeps its length near one. Without it, normalising would blow
    up what content guesses, and unrated videos would crowd the top (measured: NDCG@20 .262 instead of .281).
    """
    tower = towers.item_tower
    known = features.id_index > 0
    if tower.has_content:
        unknown = torch.cat([tower.id_embedding_ID[0], tower.id_history_ID[0]])
        targets = (tables_N2D[known] - unknown) * (unknown.abs() < 1e-6)
        n_likes = np.bincount(likes.items, minlength=len(features))[known.numpy()]
        category, dense = fit_content(features.take(torch.nonzero(known).ravel()), targets, n_likes)
        tower.category_G2D[: len(category)] = category
        tower.dense_E2D.copy_(dense)
        tables_N2D = tables_N2D - tower.content(features)
    tower.id_embedding_ID[features.id_index[known]] = tables_N2D[known, : towers.dim]
    tower.id_history_ID[features.id_index[known]] = tables_N2D[known, towers.dim :]


def make_optimizers(towers: TwoTowers, config: TrainingConfig) -> list[torch.optim.Optimizer]:
    """Adam; large tables by rows touched, so that a step costs the same however long the tables are.

    Content rests while the ids learn and is fitted anew at the end. Training it too was not better where
    it was tried (movielens, random split), but that run had another fault: still to be compared.
    """
    towers.item_tower.category_G2D.requires_grad_(False)
    towers.item_tower.dense_E2D.requires_grad_(False)
    sparse = towers.item_tower.sparse
    tables = [p for name, p in towers.named_parameters() if name.endswith("_ID")] if sparse else []
    ids = {id(table) for table in tables}
    rest = [p for p in towers.parameters() if id(p) not in ids and p.requires_grad]
    optimizers: list[torch.optim.Optimizer] = [torch.optim.Adam(rest, lr=config.lr, fused=True)]
    return [*optimizers, torch.optim.SparseAdam(tables, lr=config.lr)] if tables else optimizers


def clip_gradients(towers: TwoTowers, most: float) -> None:
    """Scale all gradients so that their common norm is at most `most`; sparse gradients are coalesced
    first."""
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
