"""`--resume`: what a killed main job had trained is not trained again, and no checkpoint outlives success."""

from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from trainer import pipeline
from trainer.checkpoint import FILE_NAME
from trainer.database import Address
from trainer.training import TrainingConfig
from trainer.training_run import Run


def test_a_job_that_failed_after_training_goes_on_from_there(
    serving_database: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainingConfig(embedding_dim=32, epochs=1)
    job = pipeline.Job(tmp_path, baselines=(), is_published=False)

    def fail(*_: object, **__: object) -> NoReturn:
        raise OSError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(pipeline, "judge", fail)
        with pytest.raises(OSError, match="the disk is full"):
            pipeline.run(serving_database, config, job)
    assert (tmp_path / FILE_NAME).exists()
    monkeypatch.setattr(Run, "epoch", fail)  # nothing is left to train
    outcome = pipeline.run(serving_database, config, replace(job, resumes=True))
    assert outcome.version is not None
    assert not (tmp_path / FILE_NAME).exists()
