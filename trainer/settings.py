"""Where things are: the environment and `.env`, read once, typed; secrets never show in a repr."""

from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from trainer.errors import UsageError

# A local `supabase start` listens here; the embedded server takes the same place, so one default serves both.
DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 54322


class Settings(BaseSettings):
    """libpq's variables, DATABASE_URL (wins over them) and Supabase's, from the environment or `.env`."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", env_ignore_empty=True)

    database_url: SecretStr | None = None
    pghost: str = DEFAULT_HOST
    pgport: int = DEFAULT_PORT
    pguser: str = "postgres"
    pgpassword: SecretStr = SecretStr("postgres")
    pgdatabase: str = "postgres"
    pgsslmode: str | None = None

    supabase_url: str | None = None
    supabase_secret_key: SecretStr | None = None
    supabase_service_role_key: SecretStr | None = None
    martello_bucket: str = "models"
    martello_notify_urls: SecretStr | None = None
    """Apprise URLs, comma separated: they hold tokens and passwords."""

    @property
    def supabase_key(self) -> SecretStr | None:
        """The new secret key, else the older service-role key."""
        return self.supabase_secret_key or self.supabase_service_role_key

    def libpq_parameters(self) -> dict[str, str]:
        """Connection parameters by libpq keyword; the URL, when there is one, is the whole truth."""
        if self.database_url is not None:
            return parse_database_url(self.database_url.get_secret_value())
        parameters = {
            "host": self.pghost,
            "port": str(self.pgport),
            "user": self.pguser,
            "password": self.pgpassword.get_secret_value(),
            "dbname": self.pgdatabase,
        }
        return parameters | ({"sslmode": self.pgsslmode} if self.pgsslmode else {})


def load_settings(database_url: str | None = None) -> Settings:
    """Settings of this process; `database_url` (the command-line option) wins over everything.

    Raises UsageError naming the variable whose value cannot be read, never the value itself.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        names = ", ".join(str(item["loc"][0]).upper() for item in error.errors())
        raise UsageError(f"{names} cannot be read", "correct it in the environment or in .env") from None
    if database_url:
        settings = settings.model_copy(update={"database_url": SecretStr(database_url)})
    return settings


def parse_database_url(url: str) -> dict[str, str]:
    """`postgresql://user:password@host:port/database?sslmode=…` as libpq keywords; never echoed."""
    remedy = "write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE, special characters percent-encoded"
    try:
        parts = urlsplit(url.strip())
        port = parts.port or 5432
    except ValueError:
        raise UsageError("DATABASE_URL cannot be read", remedy) from None
    if parts.scheme.split("+")[0] not in ("postgres", "postgresql"):
        raise UsageError("DATABASE_URL does not begin with postgresql://", remedy)
    query = dict(parse_qsl(parts.query))
    return {
        "host": unquote(parts.hostname or "") or query.pop("host", DEFAULT_HOST),
        "port": str(port),
        "user": unquote(parts.username or "postgres"),
        "password": unquote(parts.password or ""),
        "dbname": unquote(parts.path.lstrip("/")) or "postgres",
        **query,
    }


def resource(name: str) -> Path:
    """`sql`, `dbt_project` or `profiles.yml`: from the checkout, else from the installed wheel."""
    package = Path(__file__).resolve().parent
    beside = package.parent / name
    return beside if beside.exists() else package / "_bundled" / name
