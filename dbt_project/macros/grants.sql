{#-
    Lets the roles of var `mart_readers` select from the marts, those that exist. Not dbt's `grants:` config: that
    fails where one of the roles is missing, and a plain Postgres has no service_role.
-#}
{% macro grant_to_readers() %}
    {%- if execute and flags.WHICH in ("build", "run") -%}
        {%- for role in var("mart_readers") -%}
            {%- if run_query("select 1 from pg_catalog.pg_roles where rolname = '" ~ role ~ "'") | length
                and run_query("select 1 where pg_catalog.to_regnamespace('marts') is not null") | length %}
                grant usage on schema marts to {{ adapter.quote(role) }};
                grant select on all tables in schema marts to {{ adapter.quote(role) }};
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{% endmacro %}
