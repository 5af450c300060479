{#-
    Sources as they are found. What a source must and may have is written once, in the sources' YAML: each column has
    a `data_type`; `meta.required` columns must be there when the table is; every other column may be missing and is
    null then; a missing table is an empty one, and so is an `optional` one that has another form.
-#}

{#- What the YAML says about a source. -#}
{% macro declaration(source_name, table_name) %}
    {%- for node in graph.sources.values() if node.source_name == source_name and node.name == table_name -%}
        {{ return(node) }}
    {%- endfor -%}
{% endmacro %}

{#- Name -> type of the columns that are really there; empty when there is no such relation. -#}
{% macro found_columns(relation) %}
    {%- set query -%}
        select attname, pg_catalog.format_type(atttypid, null)
        from pg_catalog.pg_attribute
        where attrelid = pg_catalog.to_regclass('{{ relation.include(database=false) }}')
            and attnum > 0
            and not attisdropped
    {%- endset -%}
    {%- set found = {} -%}
    {%- for row in run_query(query) -%}
        {%- do found.update({row[0]: row[1]}) -%}
    {%- endfor -%}
    {{ return(found) }}
{% endmacro %}

{#- Types that may stand in for a declared one; text takes everything that has a text form. -#}
{% macro is_acceptable_type(found, declared) %}
    {%- set numbers = ["smallint", "integer", "bigint", "numeric", "real", "double precision"] -%}
    {%- set whole = ["smallint", "integer", "bigint"] -%}
    {%- set times = ["timestamp with time zone", "timestamp without time zone", "date"] -%}
    {%- set texts = ["text", "character varying", "character", "name", "citext"] -%}
    {%- if found == declared -%}{{ return(true) }}
    {%- elif declared == "numeric" -%}{{ return(found in numbers) }}
    {%- elif declared in ("integer", "bigint") -%}{{ return(found in numbers) }}
    {%- elif declared == "timestamp with time zone" -%}{{ return(found in times) }}
    {%- elif declared == "text" -%}
        {#- an enum of the app's own is a text to us; a number, a uuid or an array where text is declared is a mistake -#}
        {{ return(found in texts or (found not in numbers + times + ["uuid", "boolean", "bytea", "json", "jsonb"]
            and not found.endswith("[]"))) }}
    {%- else -%}{{ return(false) }}
    {%- endif -%}
{% endmacro %}

{#- One sentence per fault of a source that is there: a column missing or of a type that cannot be read. -#}
{% macro source_faults(source_name, table_name, relation, found) %}
    {%- set faults = [] -%}
    {%- set remedy = "run `python -m trainer db migrate`" if source_name in ("raw", "recsys")
        else "give it that column, or name another one in models/staging/" ~ source_name ~ "/sources.yml" -%}
    {%- for column in declaration(source_name, table_name).columns.values() -%}
        {%- set name = relation.schema ~ "." ~ relation.identifier ~ "." ~ column.name -%}
        {%- if column.name not in found -%}
            {%- if column.meta.get("required") -%}
                {%- do faults.append(name ~ " is missing; " ~ remedy) -%}
            {%- endif -%}
        {%- elif not is_acceptable_type(found[column.name], column.data_type) -%}
            {%- do faults.append(name ~ " is " ~ found[column.name] ~ " and must be " ~ column.data_type
                ~ "; change its type, or take the wrong table away") -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(faults) }}
{% endmacro %}

{#- Runs before anything is built: a broken contract stops the build with the name and the remedy. -#}
{% macro check_sources() %}
    {%- if execute and flags.WHICH in ("build", "run", "seed", "snapshot") -%}
        {%- set faults = [] -%}
        {%- for node in graph.sources.values() -%}
            {%- set relation = source(node.source_name, node.name) -%}
            {%- set found = found_columns(relation) -%}
            {%- if found and not node.config.meta.get("optional") -%}
                {%- do faults.extend(source_faults(node.source_name, node.name, relation, found)) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- do faults.extend(var_faults()) -%}
        {%- if faults -%}
            {%- do exceptions.raise_compiler_error(faults | sort | join(" | ")) -%}
        {%- endif -%}
    {%- endif -%}
{% endmacro %}

{#- One sentence per var that means nothing, before it means something else than was meant. -#}
{% macro var_faults() %}
    {%- set faults = [] -%}
    {%- set rules = ["alias_padding", "alias_prefix", "alias_padding_prefix", "all", "none"] -%}
    {%- set asked = var("cid_aliases") or [] -%}
    {%- for rule in ([asked] if asked is string else asked) if rule not in rules -%}
        {%- do faults.append("var cid_aliases names " ~ rule ~ "; it takes any of " ~ rules | join(", ")) -%}
    {%- endfor -%}
    {%- if var("split_strategy") not in ("user_stratified", "temporal") -%}
        {%- do faults.append("var split_strategy is " ~ var("split_strategy") ~ "; it takes user_stratified or temporal") -%}
    {%- endif -%}
    {%- for name in ("val_ratio", "test_ratio") if not 0 <= var(name) | float < 1 -%}
        {%- do faults.append("var " ~ name ~ " is " ~ var(name) ~ "; it takes 0 or more and less than 1") -%}
    {%- endfor -%}
    {{ return(faults) }}
{% endmacro %}

{#- One column of a source, cast to its declared type; a null of that type when the source has no such column. -#}
{% macro optional_column(column, found) -%}
    {%- if column.name not in found -%}
        cast(null as {{ column.data_type }}) as {{ adapter.quote(column.name) }}
    {%- elif column.data_type == "timestamp with time zone" and found[column.name] != column.data_type -%}
        {#- a time without a zone is UTC -#}
        cast({{ adapter.quote(column.name) }} as timestamp without time zone) at time zone 'UTC'
            as {{ adapter.quote(column.name) }}
    {%- elif found[column.name] != column.data_type -%}
        cast({{ adapter.quote(column.name) }} as {{ column.data_type }}) as {{ adapter.quote(column.name) }}
    {%- else -%}
        {{ adapter.quote(column.name) }}
    {%- endif -%}
{%- endmacro %}

{#-
    A source as a relation that always has exactly the declared columns: `select ... from {{ optional_relation(...) }}`.
    For unit tests and for parsing it is the plain source.
-#}
{% macro optional_relation(source_name, table_name) -%}
    {%- set relation = source(source_name, table_name) -%}
    {%- if not execute or not relation.identifier or relation.is_cte -%}
        {{ relation }}
    {%- else -%}
        {%- set found = found_columns(relation) -%}
        {%- set declared = declaration(source_name, table_name) -%}
        {%- if declared.config.meta.get("optional") and source_faults(source_name, table_name, relation, found) -%}
            {%- set found = {} -%}
        {%- endif -%}
        (
        select
        {%- for column in declared.columns.values() %}
            {{ optional_column(column, found) }}{{ "," if not loop.last }}
        {%- endfor %}
        {%- if found %}
        from {{ relation }}
        {%- else %}
        where false
        {%- endif %}
        ) as {{ table_name }}
    {%- endif -%}
{%- endmacro %}
