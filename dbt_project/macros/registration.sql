{#- The uuid of a registered video: made from its id and shop, so that it is the same in every build and database. -#}
{% macro stub_id(content_id, catalogue_source) -%}
    cast(md5('martello ' || coalesce({{ catalogue_source }}, '') || ' ' || {{ content_id }}) as uuid)
{%- endmacro %}

{#-
    Writes the stubs of int_registered_videos into the app's catalogue, for whoever enriches it later. Columns that
    must not be null and have no default get the emptiest value of their type. Only with var register_unknown_videos.
-#}
{% macro register_stubs() %}
    {%- if execute and var("register_unknown_videos") -%}
        {%- set videos = source("app", "videos") -%}
        {%- set found = found_columns(videos) -%}
        {%- if found -%}
            {%- set values = {
                "id": "video_id",
                "external_id": "content_id",
                "title": "content_id",
                "product_url": "product_url",
                "source": "coalesce(catalogue_source, 'registered')",
            } -%}
            {%- set known = {} -%}
            {%- for name, value in values.items() if name in found -%}
                {%- do known.update({name: value}) -%}
            {%- endfor -%}
            {%- for name in columns_to_fill(videos) if name not in known -%}
                {%- set empty = {"boolean": "false", "text": "''"}.get(found[name], "0") -%}
                {%- do known.update({name: empty}) -%}
            {%- endfor -%}
            insert into {{ videos }} ({{ known.keys() | map("tojson") | join(", ") }})
            select {{ known.values() | join(", ") }}
            from {{ this }}
            on conflict do nothing
        {%- endif -%}
    {%- endif -%}
{% endmacro %}

{#- Columns that an insert has to name: not null, without default, identity or generation. -#}
{% macro columns_to_fill(relation) %}
    {%- set query -%}
        select attname
        from pg_catalog.pg_attribute
        where attrelid = pg_catalog.to_regclass('{{ relation.include(database=false) }}')
            and attnum > 0
            and not attisdropped
            and attnotnull
            and not atthasdef
            and attidentity = ''
    {%- endset -%}
    {{ return(run_query(query).columns[0].values() | list) }}
{% endmacro %}
