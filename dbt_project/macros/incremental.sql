{#-
    What is kept between builds, first half: the reading of files. Trimming, numbers, times and the lookup of items cost
    the most per line and depend on nothing but the line, so a line is read once, and so is an item. What
    depends on vars, the catalogue or other lines is macros/changed_users.sql's.

    int_load_states knows for each file a fingerprint of what is there (Postgres' row versions and their number: lines
    added, changed or deleted change it) and the fingerprint of what int_lines has read. A file is read again when
    they differ, when the numbers of items were given anew, or when the code that reads was changed.

    int_load_users says of each file whose lines are in it, how many, and how new: what every build would otherwise ask
    of every line. int_videos is kept in the same way: a video's keys are made when it comes or changes.
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
{% macro current_reading() -%}
    int_load_states.fingerprint || ' {{ reader_checksum() }} '
    || cast(cast(to_regclass('{{ kept_name("int_item_numbers") }}') as oid) as text)
{%- endmacro %}

{#- What is kept of the reading. -#}
{% macro readers() %}
    {{ return(["int_lines", "int_load_users", "int_item_numbers", "int_items", "int_videos"]) }}
{% endmacro %}

{#- Changes when the models that read, the URL patterns or any macro change. -#}
{% macro reader_checksum() -%}
    {%- if execute -%}
        {%- set patterns = graph.nodes["seed.martello.url_patterns"].checksum.checksum -%}
        {%- set parts = [macros_checksum(), patterns, var("number_seed")] -%}
        {%- for name in readers() -%}
            {%- do parts.append(graph.nodes["model.martello." ~ name].checksum.checksum) -%}
        {%- endfor -%}
        {{ local_md5(parts | join(" ")) }}
    {%- endif -%}
{%- endmacro %}

{#-
    Of every macro of this project: which of them a model's checksum should have known cannot be forgotten. A build with
    other macros is a first build.
-#}
{% macro macros_checksum() -%}
    {%- set texts = [] -%}
    {%- for name, value in context.items()
        if value is callable and value.macro is defined and value.macro.package_name == "martello" -%}
        {%- do texts.append(name ~ " " ~ value.macro.macro_sql) -%}
    {%- endfor -%}
    {{ return(local_md5(texts | sort | join(" "))) }}
{%- endmacro %}

{#- Keeps of a raw relation's lines those of files that are to be read in this build; all when nothing is kept. -#}
{% macro where_unread(lines, line_source) -%}
    {%- if is_incremental() -%}
    where {{ lines }}.load_id in (
        select int_load_states.load_id
        from {{ ref("int_load_states") }} as int_load_states
        where
            int_load_states.source = '{{ line_source }}'
            and int_load_states.reading is distinct from {{ current_reading() }}
    )
    {%- endif -%}
{%- endmacro %}

{#- Before new lines come in: away with those of files that are read again, or are gone; with all, where all are read. -#}
{% macro forget_stale_lines() -%}
    {%- if is_incremental() -%}
    {%- for name in ("int_lines", "int_load_users") %}
    delete from {{ kept_name(name) }} as kept
    where {{ is_stale("kept") }}
    {%- if not loop.last %};{% endif -%}
    {%- endfor -%}
    {%- elif execute and kept_relation("int_load_users") -%}
    truncate {{ kept_name("int_load_users") }}
    {%- endif -%}
{%- endmacro %}

{#-
    Whether a line's file has been read and is to be read again, or is gone. Mostly no file is, and then Postgres looks
    at no line.
-#}
{% macro is_stale(lines) -%}
    ({{ lines }}.source, {{ lines }}.load_id) in (
        select
            int_load_states.source,
            int_load_states.load_id
        from {{ ref("int_load_states") }} as int_load_states
        where int_load_states.reading != coalesce({{ current_reading() }}, '')
    )
{%- endmacro %}

{#- int_load_users as the last build left it; nothing at first, and nothing in a full refresh. -#}
{% macro kept_load_users() -%}
    {%- set load_users = kept_relation("int_load_users") if execute and not flags.FULL_REFRESH else none -%}
    {%- if load_users -%}
    {{ load_users }}
    {%- else -%}
    (
        select
            cast(null as text) as source,
            cast(null as bigint) as load_id,
            cast(null as bigint) as user_no,
            cast(null as text) as user_key
        where false
    )
    {%- endif -%}
{%- endmacro %}

{#- Keeps lines of files that int_load_users does not know yet. -#}
{% macro where_uncounted(lines) -%}
    {%- if is_incremental() -%}
    where ({{ lines }}.source, {{ lines }}.load_id) in (
        select
            int_load_states.source,
            int_load_states.load_id
        from {{ ref("int_load_states") }} as int_load_states
        where not exists (
            select 1
            from {{ this }} as counted
            where counted.source = int_load_states.source and counted.load_id = int_load_states.load_id
        )
    )
    {%- endif -%}
{%- endmacro %}

{#- Videos of which nothing that keys are made of has changed. -#}
{% macro is_same_video(ours, theirs) -%}
    {{ ours }}.video_id = {{ theirs }}.video_id
    and {{ ours }}.catalogue_source is not distinct from {{ theirs }}.catalogue_source
    and {{ ours }}.external_id is not distinct from {{ theirs }}.external_id
    and {{ ours }}.product_url is not distinct from {{ theirs }}.product_url
{%- endmacro %}

{#- Leaves out videos that have their keys. -#}
{% macro except_kept_videos(videos) -%}
    {%- if is_incremental() -%}
    where not exists (
        select 1
        from {{ this }} as kept
        where {{ is_same_video("kept", videos) }}
    )
    {%- endif -%}
{%- endmacro %}

{#- Before new ones come in: away with videos that have changed, or are gone. -#}
{% macro forget_changed_videos() -%}
    {%- if is_incremental() -%}
    delete from {{ this }} as int_videos
    where not exists (
        select 1
        from {{ ref("stg_app__videos") }} as stg_app__videos
        where {{ is_same_video("int_videos", "stg_app__videos") }}
    )
    {%- endif -%}
{%- endmacro %}

{#- In the same transaction as the lines: what has been read. -#}
{% macro note_reading() -%}
    {%- if execute -%}
    update {{ ref("int_load_states") }} as int_load_states
    set reading = {{ current_reading() }}
    {%- endif -%}
{%- endmacro %}

{#- Numbers are given once: on from the highest so far. -#}
{% macro numbers_given(column) -%}
    {%- if is_incremental() -%}
    (select coalesce(max(numbered.{{ column }}), 0) from {{ this }} as numbered)
    {%- else -%}
    0
    {%- endif -%}
{%- endmacro %}

{#- Leaves out the rows of `found` that have a number: those with the same `columns`. -#}
{% macro except_numbered(found, columns) -%}
    {%- if is_incremental() -%}
    where not exists (
        select 1
        from {{ this }} as numbered
        where {% for column in columns %}numbered.{{ column }} = {{ found }}.{{ column }}
            {%- if not loop.last %} and {% endif %}{% endfor %}
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
        {%- set ns = namespace(is_ours=false) -%}
        {%- if states and "reading" in found_columns(states) -%}
            {%- set others = run_query(
                "select 1 from " ~ states ~ " where reading not like '% " ~ reader_checksum() | trim ~ " %' limit 1") -%}
            {%- set ns.is_ours = not others | length -%}
        {%- endif -%}
        {%- for name in readers() if not adapter.get_relation(target.database, schema, name) -%}
            {%- set ns.is_ours = false -%}
        {%- endfor -%}
        {%- if not ns.is_ours -%}
            {#- the last is of an earlier release -#}
            {%- for name in readers() + ["int_forgotten_users", "int_states", "int_user_numbers"] -%}
                {%- set kept = adapter.get_relation(target.database, schema, name) -%}
                {%- if kept -%}{%- do adapter.drop_relation(kept) -%}{%- endif -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endif -%}
{% endmacro %}

{#- What int_load_states said after the last build; nothing at first. -#}
{% macro previous_readings() -%}
    {%- set previous = load_relation(this) if execute else none -%}
    {%- if previous -%}
    {{ previous }}
    {%- else -%}
    (select cast(null as text) as source, cast(null as bigint) as load_id, cast(null as text) as reading where false)
    {%- endif -%}
{%- endmacro %}
