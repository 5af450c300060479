{#-
    dbt makes a table with a contract empty, with its keys, and then inserts: single-threaded, each row through every
    index. Here the rows come first, so that the query may run in parallel, and keys and checks after, built in bulk:
    half the time for six million rows. What is enforced is the same. What macros/changed_users.sql reads once is a view.
-#}
{% macro postgres__create_table_as(temporary, relation, sql) -%}
    {%- set has_contract = config.get("contract").enforced and not temporary -%}
    {%- if has_contract -%}
        {{ get_assert_columns_equivalent(sql) }}
    {%- endif %}
    create {% if temporary %}temporary {% elif config.get("unlogged", default=false) %}unlogged {% endif -%}
    {% if temporary and config.get("incremental_strategy") == "changed_users" %}view{% else %}table{% endif %} {{ relation }} as (
        {{ get_select_subquery(sql) if has_contract else sql }}
    );
    {%- set constraints = added_constraints() if has_contract else [] -%}
    {%- if constraints %}
    alter table {{ relation }} {{ constraints | join(", ") }};
    {%- endif -%}
{%- endmacro %}

{#- The contract's not null, keys and checks as clauses of one `alter table`. -#}
{% macro added_constraints() %}
    {%- set clauses = [] -%}
    {%- for column in model.columns.values() -%}
        {%- for constraint in column.constraints -%}
            {%- if constraint.type != "not_null" -%}
                {%- do exceptions.raise_compiler_error(
                    "column " ~ column.name ~ ": write a " ~ constraint.type ~ " constraint at the model") -%}
            {%- endif -%}
            {%- do clauses.append("alter column " ~ column.name ~ " set not null") -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- for constraint in adapter.render_raw_model_constraints(raw_constraints=model.constraints) -%}
        {%- do clauses.append("add " ~ constraint) -%}
    {%- endfor -%}
    {{ return(clauses) }}
{% endmacro %}

{#-
    Memory for this model's transaction only: `set local` cannot leak to the next client of a pooler. Sorts of six
    million rows spill to disk at the server's default of a few MB, and index builds too.
-#}
{% macro set_memory() -%}
    {%- if execute %}
    set local work_mem = '{{ var("work_mem_mb") }}MB';
    set local maintenance_work_mem = '{{ 2 * var("work_mem_mb") }}MB';
    set local jit = off
    {%- endif -%}
{%- endmacro %}

{#-
    For a model that has another one working beside it: what a second process takes off the first costs a ninth more
    processor time, and both cores are busy.
-#}
{% macro work_alone() -%}
    {%- if execute and var("split_strategy") != "temporal" %}
    set local max_parallel_workers_per_gather = 0
    {%- endif -%}
{%- endmacro %}

{#-
    Statistics of a new table; of one that is kept where a tenth of its pages is newer than they are, which is when
    Postgres' own daemon would come by.
-#}
{% macro analyze_table() -%}
    {%- if execute and model.config.materialized != "view" -%}
        {%- set has_grown = run_query(
            "select 1 from pg_catalog.pg_class where oid = '" ~ this ~ "'::regclass and "
            ~ "pg_catalog.pg_relation_size(oid) > 1.1 * current_setting('block_size')::bigint * relpages"
        ) if model.config.materialized == "incremental" else [1] -%}
        {%- if has_grown | length %}
        analyze {{ this }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{#-
    The descriptions as comments, of a relation and its columns in one statement. dbt asks information_schema twice per
    model which columns there are; a description of a column that is not there is a mistake, and stops the build.
-#}
{% macro postgres__persist_docs(relation, model, for_relation, for_columns) -%}
    {%- set comments = [] -%}
    {%- if for_relation and config.persist_relation_docs() and model.description -%}
        {%- do comments.append(alter_relation_comment(relation, model.description) | trim | trim(";")) -%}
    {%- endif -%}
    {%- if for_columns and config.persist_column_docs() -%}
        {%- for column in model.columns.values() if column.description -%}
            {%- do comments.append(
                "comment on column " ~ relation ~ "." ~ adapter.quote(column.name) ~ " is "
                ~ postgres_escape_comment(column.description)) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- if comments -%}
        {%- do run_query(comments | join(";")) -%}
    {%- endif -%}
{%- endmacro %}
