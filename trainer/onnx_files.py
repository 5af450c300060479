"""The three ONNX files of a version: written, compared with PyTorch, described for model_meta.json."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from trainer.export import save
from trainer.features import texts_of
from trainer.histories import Histories, Pairs
from trainer.item_graph import item_graph
from trainer.manifest import MODEL_NAME
from trainer.mart import Mart
from trainer.onnx_graph import Graph
from trainer.onnx_session import Feeds, Floats, Session, item_feeds, user_feeds
from trainer.parity import Parity, check_items, check_scores, check_users
from trainer.precision import LIMIT_BYTES, Precision
from trainer.score_graph import most_users, score_graph
from trainer.trained import TrainedModel
from trainer.user_graph import user_graph


@dataclass(frozen=True)
class Subject:
    """The model, and its vectors of everybody and everything in the mart.

    `user_vectors` (U, D) of users with a like, `item_vectors` (N, D), `history_vectors` (N, D).
    """

    model: TrainedModel
    mart: Mart
    histories: Histories
    user_keys: list[str]
    user_vectors: Floats
    item_vectors: Floats
    history_vectors: Floats
    about: dict[str, str]
    """What every file carries in its metadata: version, weights_sha256."""
    n_left_out: int = 0
    """Users with a like that the score model has no room for; Postgres has them."""

    @classmethod
    def of(
        cls, model: TrainedModel, mart: Mart, about: dict[str, str], limit_bytes: int = LIMIT_BYTES
    ) -> "Subject":
        """Vectors from everything known about the users, as they are published.

        Where not all of them fit the score model, the app's users come first, then those with most likes.
        """
        histories = model.histories(mart, "published")
        n_likes = np.diff(histories.likes.starts)
        liking = np.flatnonzero(n_likes > 0)
        of_app = np.array([key.startswith("app:") for key in mart.user_keys], bool)
        most = most_users(len(mart.catalogue), model.embedding_dim, limit_bytes)
        users = np.sort(liking[np.lexsort((-n_likes[liking], ~of_app[liking]))[:most]])
        items_ND, history_ND = model.item_vectors()
        own = histories.take(users)
        users_UD = model.user_vectors(own, history_ND)
        keys = [mart.user_keys[user] for user in users]
        about = {"model_name": MODEL_NAME, **about}
        left_out = len(liking) - len(users)
        return cls(model, mart, own, keys, users_UD, items_ND, history_ND, about, left_out)


def write_onnx_files(folder: Path, subject: Subject, limit_bytes: int) -> dict[str, dict[str, object]]:
    """File name -> inputs, outputs, example, precision, parity.

    Raises StorageError when a file cannot be kept small enough, ModelMismatchError when one computes
    something else than the model.
    """
    score_name = f"{MODEL_NAME}_{subject.about['version']}.onnx"
    return {
        score_name: _score_file(folder / score_name, subject, limit_bytes),
        "user_tower.onnx": _user_file(folder / "user_tower.onnx", subject, limit_bytes),
        "item_tower.onnx": _item_file(folder / "item_tower.onnx", subject, limit_bytes),
    }


def _score_file(path: Path, subject: Subject, limit_bytes: int) -> dict[str, object]:
    graph, kept = score_graph(subject.user_vectors, subject.item_vectors, limit_bytes)
    session = _saved(graph, path, subject, limit_bytes)
    parity = check_scores(session, subject.user_vectors, subject.item_vectors, kept.form)
    last = len(subject.item_vectors) - 1
    pair: Feeds = {"user_idx": np.array([0, 0], np.int64), "item_idx": np.array([0, last], np.int64)}
    return _described(session, pair, kept, parity)


def _user_file(path: Path, subject: Subject, limit_bytes: int) -> dict[str, object]:
    model, histories = subject.model, subject.histories
    n_aggregates, exponent = histories.aggregates.shape[1], model.history.pooling_exponent
    graph = user_graph(model.user_tower_rows(), model.embedding_dim, n_aggregates, exponent)
    session = _saved(graph, path, subject, limit_bytes)
    parity = check_users(session, model, histories)
    first = histories.take(np.array([0]))
    lists = _newest(first.likes, 2), _newest(first.dislikes, 1), _newest(first.seen, 1)
    short = Histories(*lists, first.aggregates)
    feeds = user_feeds(session, short, subject.history_vectors)
    return _described(session, feeds, Precision("float32", model.embedding_dim), parity)


def _item_file(path: Path, subject: Subject, limit_bytes: int) -> dict[str, object]:
    model, catalogue = subject.model, subject.mart.catalogue
    n_slots = model.features.category_index.shape[1]
    for keeps_ids in (True, False):
        graph, kept, of_categories = item_graph(
            model.towers.item_tower, model.vocabularies, n_slots, limit_bytes, keeps_ids=keeps_ids
        )
        session = _saved(graph, path, subject, limit_bytes)
        parity = check_items(session, model, catalogue, kept, of_categories)
        if parity.holds or kept.form == "float32":
            break  # else: ids squeezed so far that they rank otherwise are better left out
    features, texts = model.features.take(torch.tensor([0])), texts_of(catalogue, np.array([0]))
    feeds = item_feeds(session, features, texts, model.vocabularies)
    described = _described(session, feeds, kept, parity)
    return described | ({"category_precision": asdict(of_categories)} if of_categories else {})


def _saved(graph: Graph, path: Path, subject: Subject, limit_bytes: int) -> Session:
    save(graph, path, subject.about, limit_bytes)
    return Session(path)


def _described(session: Session, feeds: Feeds, kept: Precision, parity: Parity) -> dict[str, object]:
    checked = parity.check(session.name)
    return {**session.describe(feeds), "precision": asdict(kept), "parity": asdict(checked)}


def _newest(pairs: Pairs, most: int) -> Pairs:
    return pairs.keep(np.arange(len(pairs.items)) < most)
