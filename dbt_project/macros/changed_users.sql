{#-
    A build after the first works on the users that changed. Everything the marts say about a user follows from that
    user's lines, the videos these name, what the app knows of the user, the clock, and vars, seeds and code.
    int_fingerprints holds a number for each file, item and user of the app and one for the recipe; int_states the
    numbers of the last complete build; int_changed_users the users whom a difference concerns, with those of whom
    int_lines has forgotten a line (int_forgotten_users). What a build makes of users it makes of them; their rows in
    the marts are compared and written where they differ.

    One null in int_changed_users stands for everybody: in the first build and in a full refresh, when a mart is gone,
    with the temporal split (its cuts are everybody's), and when more than var `rebuild_share` of the users changed,
    as they all do with other vars, seeds or code. Then the marts are made anew, by the same SQL without the filter.
-#}
{% macro is_everybody_changed() %}
    {%- if not execute or flags.FULL_REFRESH or flags.WHICH == "test" -%}{{ return(true) }}{%- endif -%}
    {%- set changed_users = kept_relation("int_changed_users") -%}
    {%- if not changed_users -%}{{ return(true) }}{%- endif -%}
    {{ return(run_query("select 1 from " ~ changed_users ~ " where user_no is null limit 1") | length > 0) }}
{% endmacro %}

{#- `and <column> in (the users that changed)`; nothing when everybody did. -#}
{% macro and_has_changed(column, key="user_no") -%}
    {%- if not is_everybody_changed() -%}
    and {{ column }} in (select int_changed_users.{{ key }} from {{ kept_name("int_changed_users") }} as int_changed_users)
    {%- endif -%}
{%- endmacro %}

{#- A query for the users that changed; none when everybody did. -#}
{% macro changed_users() -%}
    {%- if is_everybody_changed() -%}{{ return(none) }}{%- endif -%}
    {{ return("select int_changed_users.user_no from " ~ kept_name("int_changed_users") ~ " as int_changed_users") }}
{%- endmacro %}

{#- A table as an earlier build left it: no ref, which would be a circle. None where there is no such table. -#}
{% macro kept_relation(model_name) %}
    {%- set node = graph.nodes["model.martello." ~ model_name] -%}
    {{ return(adapter.get_relation(target.database, node.schema, node.alias)) }}
{% endmacro %}

{#- Its name, for a place where no ref may stand. -#}
{% macro kept_name(model_name) -%}
    {%- if execute -%}
        {%- set node = graph.nodes["model.martello." ~ model_name] -%}
        {{ node.schema }}.{{ node.alias }}
    {%- endif -%}
{%- endmacro %}

{#- Models that are kept and rewritten by user: `meta: {is_kept_by_user: true}`. -#}
{% macro kept_by_user() %}
    {%- set names = [] -%}
    {%- for node in graph.nodes.values()
        if node.resource_type == "model" and node.config.meta.get("is_kept_by_user") -%}
        {%- do names.append(node.name) -%}
    {%- endfor -%}
    {{ return(names) }}
{% endmacro %}

{#- Whether this build cannot go by users, whatever has changed. -#}
{% macro must_make_everything() %}
    {%- if not execute or flags.FULL_REFRESH or var("split_strategy") == "temporal" -%}{{ return(true) }}{%- endif -%}
    {%- for name in kept_by_user() + ["int_states"] -%}
        {%- if not kept_relation(name) -%}{{ return(true) }}{%- endif -%}
    {%- endfor -%}
    {{ return(false) }}
{% endmacro %}

{#-
    dbt's own question, asked by incremental models: kept ones follow int_changed_users, others --full-refresh.
    A mart that is gone cannot be made of the few users of this build.
-#}
{% macro should_full_refresh() %}
    {%- if not model.config.get("meta", {}).get("is_kept_by_user") -%}
        {{ return(flags.FULL_REFRESH if config.get("full_refresh") is none else config.get("full_refresh")) }}
    {%- endif -%}
    {%- set is_everybody = is_everybody_changed() -%}
    {%- if execute and not is_everybody and not adapter.get_relation(this.database, this.schema, this.identifier) -%}
        {%- do exceptions.raise_compiler_error(this ~ " is gone; build everything with --full-refresh") -%}
    {%- endif -%}
    {{ return(is_everybody) }}
{% endmacro %}

{#-
    What a kept model writes: rows of changed users that are no more what they were go, and come as they are now.
    Few rows of a changed user really differ (18 thousand of 1.5 million after 1 % new lines), and only these cost index
    entries and log: they are found once, in a temporary table. `unique_key` is compared with `=`, everything else as
    null-safe. What the model says is a view here (postgres__create_table_as), which nobody has to write and read again.
    Without merge joins: for one Postgres would read a whole mart in the order of its key, four times as long as hashing.
-#}
{% macro get_incremental_changed_users_sql(arg_dict) %}
    {%- set target, fresh, keys = arg_dict["target_relation"], arg_dict["temp_relation"], arg_dict["unique_key"] -%}
    {%- set columns = arg_dict["dest_columns"] | map(attribute="quoted") | list -%}
    {%- set user = keys[0] -%}
    {%- set same_key, gone_keys, is_gone = [], [], [] -%}
    {%- for key in keys -%}
        {%- do same_key.append("kept." ~ key ~ " = fresh." ~ key) -%}
        {%- do gone_keys.append("kept." ~ key ~ " as gone_" ~ key) -%}
        {%- do is_gone.append("kept." ~ key ~ " = differing.gone_" ~ key) -%}
    {%- endfor %}
    set local enable_mergejoin = off;
    create temporary table differing on commit drop as
    select
        {{ gone_keys | join(", ") }},
        fresh.{{ columns | join(", fresh.") }}
    from (
        select kept.*
        from {{ target }} as kept
        inner join {{ kept_name("int_changed_users") }} as changed on kept.{{ user }} = changed.{{ user }}
    ) as kept
    full join {{ fresh }} as fresh on {{ same_key | join(" and ") }}
    where (kept.{{ columns | join(", kept.") }}) is distinct from (fresh.{{ columns | join(", fresh.") }});
    drop view {{ fresh }};
    analyze differing;
    delete from {{ target }} as kept
    using differing
    where {{ is_gone | join(" and ") }};
    insert into {{ target }} ({{ columns | join(", ") }})
    select differing.{{ columns | join(", differing.") }}
    from differing
    where differing.{{ user }} is not null
{% endmacro %}

{#-
    Everything but lines and catalogue that decides what the marts say of a user, as a number: the code of models and
    macros, the seeds and the vars.
-#}
{% macro recipe() -%}
    {%- if execute -%}
        {%- set parts = [macros_checksum()] -%}
        {%- for id in graph.nodes | sort -%}
            {%- set node = graph.nodes[id] -%}
            {%- if node.resource_type == "seed"
                or node.resource_type == "model" and node.fqn[1] in ("staging", "intermediate", "marts") -%}
                {%- do parts.append(node.checksum.checksum) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- for name in (
            "min_stars", "max_negative_stars", "stars_max", "nope_is_skip", "review_weight", "decision_weight",
            "cid_aliases", "register_unknown_videos", "window_months", "split_strategy", "val_ratio", "test_ratio",
            "history_length", "number_seed",
        ) -%}
            {%- do parts.append(name ~ " " ~ var(name)) -%}
        {%- endfor -%}
        hashtextextended('{{ local_md5(parts | join(" ")) }}', 0)
    {%- else -%}
        0
    {%- endif -%}
{%- endmacro %}
