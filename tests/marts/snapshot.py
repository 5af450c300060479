"""What the marts hold, as text that can be compared byte by byte."""

from trainer.database import Address, connect

MARTS = (
    "fct_interactions",
    "fct_user_histories",
    "dim_videos",
    "dim_users",
    "rpt_interaction_funnel",
    "rpt_unmatched_items",
    "rpt_data_quality",
    "rpt_popularity_daily",
    "rpt_catalogue_coverage",
    "rpt_user_activity",
)


def rows(where: Address, relation: str, columns: str = "*") -> list[str]:
    """Every row of a relation as one text, in an order of their own."""
    with connect(where) as connection:
        statement = f"select t::text from (select {columns} from {relation}) as t order by 1"
        return [row[0] for row in connection.execute(statement.encode()).fetchall()]


def marts(where: Address) -> dict[str, list[str]]:
    found = {name: rows(where, f"marts.{name}") for name in MARTS}
    # item numbers name items within one database's history; what they stand for is compared
    found["rpt_unmatched_items"] = rows(
        where, "marts.rpt_unmatched_items", "source, outcome, n_rows, item, content_id"
    )
    return found
