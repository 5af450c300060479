{#-
    What is kept between builds: the reading of files. Trimming, numbers, times and the lookup of items cost the most
    per line and depend on nothing but the line, so a line is read once; whatever depends on vars, seeds, the
    catalogue or other lines is computed anew in every build.

    int_load_states knows for each file a fingerprint of what is there (Postgres' row versions and their number: lines
    added, changed or deleted change it) and the fingerprint of what int_lines has read. A file is read again when
    they differ, when the numbers of items were given anew, or when the code that reads was changed.
-#}

{#- Row versions of a raw table per load, where there is a table. -#}
{% macro load_fingerprints(source_name, table_name, line_source) -%}
    {%- set relation = source(source_name, table_name) -%}
    {%- if not execute or not found_columns(relation) -%}
        select
            cast(null as text) as source,
            cast(null as bigint) as load_id,
            cast(null as text) as fingerprint
        where false
    {%- else -%}
        select
            '{{ line_source }}' as source,
            versions.load_id,
            string_agg(
                cast(versions.xmin as text) || ':' || cast(versions.n_lines as text), ' '
                order by cast(versions.xmin as text)
            ) as fingerprint
        from (
            select
                load_id,
                xmin,
                count(*) as n_lines
            from {{ relation }}
            group by load_id, xmin
        ) as versions
        group by versions.load_id
    {%- endif -%}
{%- endmacro %}

{#- What int_lines would note now: the file's fingerprint, the reader's code, the numbering of items (a table's oid). -#}
{% macro current_reading(numbers) -%}
    int_load_states.fingerprint || ' {{ reader_checksum() }} '
    || cast(cast(to_regclass('{{ numbers.include(database=false) }}') as oid) as text)
{%- endmacro %}

{#- Changes when the models that read lines change; count up `readers` when one of their macros does. -#}
{% macro reader_checksum() -%}
    {%- if execute -%}
        {%- set readers = "1" ~ graph.nodes["model.martello.int_lines"].checksum.checksum
            ~ graph.nodes["model.martello.int_item_numbers"].checksum.checksum -%}
        {{ local_md5(readers) }}
    {%- endif -%}
{%- endmacro %}

{#- Keeps of a raw relation's lines those of files that are to be read in this build; all when nothing is kept. -#}
{% macro where_unread(lines, line_source, numbers) -%}
    {%- if is_incremental() -%}
    where {{ lines }}.load_id in (
        select int_load_states.load_id
        from {{ ref("int_load_states") }} as int_load_states
        where
            int_load_states.source = '{{ line_source }}'
            and int_load_states.reading is distinct from {{ current_reading(numbers) }}
    )
    {%- endif -%}
{%- endmacro %}

{#- Before new lines come in: away with those of files that are read again, or are gone. -#}
{% macro forget_stale_lines() -%}
    {%- if is_incremental() -%}
    delete from {{ this }} as int_lines
    where not exists (
        select 1
        from {{ ref("int_load_states") }} as int_load_states
        where int_load_states.source = int_lines.source
            and int_load_states.load_id is not distinct from int_lines.load_id
            and int_load_states.reading = {{ current_reading(ref("int_item_numbers")) }}
    )
    {%- endif -%}
{%- endmacro %}

{#- In the same transaction as the lines: what has been read. -#}
{% macro note_reading() -%}
    {%- if execute -%}
    update {{ ref("int_load_states") }} as int_load_states
    set reading = {{ current_reading(ref("int_item_numbers")) }}
    {%- endif -%}
{%- endmacro %}

{#- Numbers are given once: the highest so far, and without the items that have one. -#}
{% macro numbers_given() -%}
    {%- if is_incremental() -%}
    (select coalesce(max(numbered.item_no), 0) from {{ this }} as numbered)
    {%- else -%}
    0
    {%- endif -%}
{%- endmacro %}

{% macro except_numbered() -%}
    {%- if is_incremental() -%}
    where not exists (
        select 1
        from {{ this }} as numbered
        where numbered.item = written.item and numbered.may_be_bare = written.may_be_bare
    )
    {%- endif -%}
{%- endmacro %}

{#-
    Before a build: what is kept is thrown away when other code has read it. Then nobody has to know that an upgrade
    wants --full-refresh.
-#}
{% macro forget_what_other_code_read() %}
    {%- if execute and flags.WHICH in ("build", "run") -%}
        {%- set schema = graph.nodes["model.martello.int_lines"].schema -%}
        {%- set states = adapter.get_relation(target.database, schema, "int_load_states") -%}
        {%- set is_ours = false -%}
        {%- if states and "reading" in found_columns(states) -%}
            {%- set readings = run_query(
                "select 1 from " ~ states ~ " where reading like '% " ~ reader_checksum() | trim ~ " %' limit 1") -%}
            {%- set is_ours = readings | length > 0 -%}
        {%- endif -%}
        {%- if not is_ours -%}
            {%- for name in ("int_lines", "int_item_numbers") -%}
                {%- set kept = adapter.get_relation(target.database, schema, name) -%}
                {%- if kept -%}{%- do adapter.drop_relation(kept) -%}{%- endif -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endif -%}
{% endmacro %}

{#- What int_load_states said after the last build; nothing at first, and nothing in a full refresh. -#}
{% macro previous_readings() -%}
    {%- set previous = none if not execute or flags.FULL_REFRESH else load_relation(this) -%}
    {%- if previous -%}
    {{ previous }}
    {%- else -%}
    (select cast(null as text) as source, cast(null as bigint) as load_id, cast(null as text) as reading where false)
    {%- endif -%}
{%- endmacro %}
