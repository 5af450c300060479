"""The one tree of stated failures: each says the fact with its value, and the remedy."""


class MartelloError(Exception):
    """A failure a person can act on. The command line prints it as one line and exits with `exit_status`."""

    exit_status = 1

    def __init__(self, fact: str, remedy: str = "") -> None:
        self.fact = " ".join(fact.split()).rstrip(".")
        self.remedy = " ".join(remedy.split()).rstrip(".")
        super().__init__(f"{self.fact}. {self.remedy}." if self.remedy else f"{self.fact}.")


class UsageError(MartelloError):
    """The command's words do not fit together."""

    exit_status = 2


class GateRefusedError(MartelloError):
    """The gate kept the old version; the reasons are rows in recsys.gate_results."""

    exit_status = 3


class DatabaseError(MartelloError):
    """The database cannot be reached, lacks something, or refused a statement."""


class ServerError(MartelloError):
    """The embedded server cannot be started, stopped or found."""


class InputFileError(MartelloError):
    """A file cannot be loaded; the database is as it was."""


class MartError(MartelloError):
    """The marts are missing, or hold something that cannot be trained on."""


class TrainingError(MartelloError):
    """Training stopped: the step and the likely cause."""


class ModelMismatchError(MartelloError):
    """Weights, vocabularies or dimensions do not belong together."""


class ReleaseError(MartelloError):
    """A version could not be written, promoted or rolled back."""


class StorageError(MartelloError):
    """An artifact could not be written, read or verified."""
