"""The main job: marts in, a released version out. Each stage is one call into the module that owns it."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from trainer import console, gate, release
from trainer.artifacts import write_artifacts
from trainer.baselines import NAMES
from trainer.checkpoint import FILE_NAME, Checkpoint
from trainer.closing import report_run, tell_failure, tell_run
from trainer.database import Address, Connection, connect
from trainer.errors import GateRefusedError, ReleaseError
from trainer.judge_served import print_judgement
from trainer.judging import Judgement, feature_importance, judge
from trainer.mart import DISLIKE, LIKE, Mart, read_mart
from trainer.migrations import require_registry
from trainer.process_group import Group
from trainer.run_facts import Clock, git_commit, peak_memory_mb
from trainer.store import LocalFolder
from trainer.switch import keep_files, promote_files
from trainer.trained import EpochRecord, TrainedModel
from trainer.training import TrainingConfig, fit
from trainer.training_worker import follow


@dataclass(frozen=True)
class Job:
    """What the main job is asked for, beside the dials of training."""

    out_dir: Path = Path("artifacts")
    baselines: Sequence[str] = NAMES
    tunes_baselines: bool = False
    """Choose each baseline's settings on held-out training likes: minutes instead of seconds."""
    is_dry_run: bool = False
    """Train and evaluate; write nothing anywhere."""
    is_published: bool = True
    """False: the version is written as a candidate, nothing is promoted or uploaded."""
    is_forced: bool = False
    """Promote a version that the gate refused; logged."""
    resumes: bool = False
    """Go on from the checkpoint of a training that was killed."""
    stores_reviewers: bool = False
    """Vectors of reviewers too; app users' are always stored."""


@dataclass
class Outcome:
    """What came of it. `version` is None after a dry run."""

    judgement: Judgement
    version: str | None = None
    is_promoted: bool = False
    seconds: dict[str, float] = field(default_factory=dict)


def run(
    where: Address,
    config: TrainingConfig | None = None,
    job: Job | None = None,
    group: Group | None = None,
) -> Outcome:
    """Read the marts, train, judge, write version and artifacts, pass the gate, promote, upload, tell.

    Raises MartError, TrainingError, ReleaseError or StorageError with the stage's own words, and
    GateRefusedError when the version was written but may not serve.
    """
    clock = Clock()
    try:
        return _run(where, config or TrainingConfig(), job or Job(), clock, group or Group())
    except GateRefusedError:
        raise  # told already, with its figures
    except Exception as error:
        tell_failure(clock.stage, error)
        raise


def help_training(where: Address, config: TrainingConfig, group: Group) -> None:
    """What a process other than the first does under torchrun: its users' share of every step."""
    with connect(where, autocommit=True) as connection:
        mart = read_mart(connection, (group.rank, group.size))
    follow(mart, config, group)


def _run(where: Address, config: TrainingConfig, job: Job, clock: Clock, group: Group) -> Outcome:
    with connect(where, autocommit=True) as connection:
        require_registry(connection)
        config = _with_app_dimension(connection, config)
        with clock.timed("read"):
            mart = read_mart(connection)
        console.say(_size(mart))
        with clock.timed("train"):
            model = train(mart, config, _checkpoint(mart, config, job), group)
        with clock.timed("evaluate"):
            champion = gate.read_champion(connection, mart)
            judgement = judge(
                mart, model, champion, job.baselines, _say_indented, is_tuned=job.tunes_baselines
            )
        print_judgement(judgement)
        outcome = Outcome(judgement, seconds=clock.seconds)
        if not job.is_dry_run:
            with clock.timed("publish"):
                _release(connection, mart, model, job, outcome)
            _checkpoint(mart, config, job).delete()
    console.say(", ".join(f"{stage} {taken:.1f} s" for stage, taken in clock.seconds.items()))
    return outcome


def _checkpoint(mart: Mart, config: TrainingConfig, job: Job) -> Checkpoint:
    path = None if job.is_dry_run else job.out_dir / FILE_NAME
    return Checkpoint(path, mart.data_hash, config.to_json(), resumes=job.resumes)


def train(
    mart: Mart, config: TrainingConfig, checkpoint: Checkpoint | None = None, group: Group | None = None
) -> TrainedModel:
    """`fit` with a bar on a terminal and a line per epoch elsewhere."""
    with console.progress() as bars:
        task = bars.add_task("training", total=config.epochs, note="")

        def show(record: EpochRecord) -> None:
            # epoch 0 is the start, before any step: it has no loss yet
            parts = [f"loss {record.loss:.4f}"] if np.isfinite(record.loss) else ["the start"]
            parts += [] if record.val_ndcg is None else [f"validation ndcg {record.val_ndcg:.4f}"]
            note = ", ".join(parts)
            bars.update(task, completed=record.epoch, note=note)
            if bars.disable:
                console.say(f"  epoch {record.epoch}: {note}, {record.seconds:.1f} s")

        return fit(mart, config, show, checkpoint=checkpoint, group=group)


def _release(connection: Connection, mart: Mart, model: TrainedModel, job: Job, outcome: Outcome) -> None:
    """Artifacts first (checked against the model), then the version, the gate, the switch, Storage."""
    version = release.next_version(connection)
    folder = write_artifacts(
        job.out_dir, version, model, mart, outcome.judgement.metrics(), git_commit=git_commit()
    )
    try:
        release.write_version(connection, _bundle(mart, model, version, job, outcome.judgement))
    except BaseException:  # Ctrl-C too: files of a version that the registry does not know are nobody's
        shutil.rmtree(folder)
        raise
    outcome.version = version
    console.say(f"version {version} is written, its files are in {folder}")
    refusal = _refusal(connection, version) if job.is_published else None
    facts = {"seconds": dict(outcome.seconds), "peak_memory_mb": peak_memory_mb()}
    if not job.is_published or (refusal is not None and not job.is_forced):
        report_run(connection, job.out_dir, version, model.curve, facts)
        tell_run(connection, version)
        keep_files(LocalFolder(job.out_dir), version)
        if refusal is not None:
            raise refusal
        return
    switched = release.promote(connection, version, force=job.is_forced)
    outcome.is_promoted = True
    previous = switched.get("previous_version")
    console.say(f"version {version} serves now" + (f", after {previous}" if previous else ""))
    # now it can say that the version serves, and the manifest, which comes next, releases it with the rest
    report_run(connection, job.out_dir, version, model.curve, facts)
    promote_files(LocalFolder(job.out_dir), version)
    tell_run(connection, version)


def _refusal(connection: Connection, version: str) -> GateRefusedError | None:
    try:
        gate.decide(connection, version)
    except GateRefusedError as refusal:
        return refusal
    return None


def _bundle(
    mart: Mart, model: TrainedModel, version: str, job: Job, judgement: Judgement
) -> release.VersionBundle:
    items_ND, history_ND = model.item_vectors()
    histories = model.histories(mart, "published")
    has_likes = np.diff(histories.likes.starts) > 0
    stored = np.array([job.stores_reviewers or key.startswith("app:") for key in mart.user_keys], bool)
    users = np.flatnonzero(has_likes & stored)
    return release.VersionBundle(
        version=version,
        embedding_dim=model.embedding_dim,
        video_ids=mart.catalogue.video_ids,
        item_vectors=items_ND,
        history_vectors=history_ND,
        user_keys=[mart.user_keys[user] for user in users],
        user_vectors=model.user_vectors(histories.take(users), history_ND),
        tower_rows=model.user_tower_rows(),
        config=model.serving_config() | {"curve": [_finite(asdict(record)) for record in model.curve]},
        metrics=judgement.metrics(),
        data_hash=mart.data_hash,
        git_commit=git_commit(),
        model_path=f"two_tower/{version}",
        evaluations=[row for e in judgement.evaluations for row in e.rows(judgement.split)],
        evaluation_users=gate.user_rows(judgement.evaluations, mart.user_keys),
        paired_differences=gate.paired_rows(judgement.evaluations),
        feature_importance=feature_importance(mart, model),
    )


def _with_app_dimension(connection: Connection, config: TrainingConfig) -> TrainingConfig:
    """An app's own tables of vectors decide the dimension; another one asked for is an error."""
    wanted = release.app_dimension(connection)
    if wanted is None or wanted == config.embedding_dim:
        return config
    if config.embedding_dim != TrainingConfig.embedding_dim:
        raise ReleaseError(
            f"the app's tables hold {wanted} dimensions, --embedding-dim asks for {config.embedding_dim}",
            f"train with --embedding-dim {wanted}, or alter the app's columns first",
        )
    console.say(f"the app's tables hold vectors of {wanted} dimensions: training that many")
    return replace(config, embedding_dim=wanted)


def _size(mart: Mart) -> str:
    rows = mart.interactions
    likes, dislikes = (int((rows.label == label).sum()) for label in (LIKE, DISLIKE))
    return (
        f"{len(rows):,} interactions ({likes:,} likes, {dislikes:,} dislikes)"
        f" of {len(mart.user_keys):,} users with {len(mart.catalogue):,} videos"
    )


def _say_indented(line: str) -> None:
    console.say(f"  {line}")


def _finite(record: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN: the loss before the first epoch is null."""
    return {name: value if value is None or np.isfinite(value) else None for name, value in record.items()}
