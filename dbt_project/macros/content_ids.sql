{#- What an affiliate link leads to: the decoded `lurl` of al.fanza.co.jp and its sisters; any other URL as it stands. -#}
{% macro unwrapped(url) -%}
    case
        when {{ url }} ~* '^https?://al\.(fanza|dmm)\.(co\.jp|com)/[^#]*[?&]lurl=[^&#]'
            then {{ percent_decoded("substring(" ~ url ~ " from '[?&]lurl=([^&#]+)')") }}
        else {{ url }}
    end
{%- endmacro %}

{#- How two addresses of one page are compared: decoded, lower case, without slashes at the end. -#}
{% macro url_key(url) -%}
    nullif(rtrim(lower({{ percent_decoded(url) }}), '/'), '')
{%- endmacro %}

{#-
    The parts of a content id, prefix letters number letters, as an array; null where it has another form. Cut off from
    the end: a regular expression that captures the four takes twenty times as long.
-#}
{% macro content_id_parts(content_id) -%}
    {%- set letters, digits = "'abcdefghijklmnopqrstuvwxyz'", "'0123456789'" -%}
    {%- set to_number = "rtrim(" ~ content_id ~ ", " ~ letters ~ ")" -%}
    {%- set to_letters = "rtrim(" ~ to_number ~ ", " ~ digits ~ ")" -%}
    {%- set prefix = "rtrim(" ~ to_letters ~ ", " ~ letters ~ ")" -%}
    case
        when {{ content_id }} ~ '^(h_[0-9]+|[0-9]+)?[a-z]+[0-9]+[a-z]*$'
            then array[
                {{ prefix }},
                substr({{ to_letters }}, length({{ prefix }}) + 1),
                substr({{ to_number }}, length({{ to_letters }}) + 1),
                substr({{ content_id }}, length({{ to_number }}) + 1)
            ]
    end
{%- endmacro %}

{#-
    A content id as one alias rule sees it: equal keys are the same video to that rule.
    `parts` is content_id_parts(); numbers are compared as integers by dropping zeros in front.
-#}
{% macro alias_key(parts, rule) -%}
    {%- set prefix = parts ~ "[1]" -%}
    {%- set number = parts ~ "[3]" -%}
    {%- if rule in ("alias_prefix", "alias_padding_prefix") -%}
        {%- set prefix = "case when " ~ parts ~ "[1] like 'h%' then " ~ parts ~ "[1] else '' end" -%}
    {%- endif -%}
    {%- if rule in ("alias_padding", "alias_padding_prefix") -%}
        {%- set number = "ltrim(" ~ parts ~ "[3], '0')" -%}
    {%- endif -%}
    {{ prefix }} || '|' || {{ parts }}[2] || '|' || {{ number }} || '|' || {{ parts }}[4]
{%- endmacro %}

{#- The alias rules that var `cid_aliases` allows, in the order they are tried. -#}
{% macro alias_rules() %}
    {%- set known = ["alias_padding", "alias_prefix", "alias_padding_prefix"] -%}
    {%- set allowed = var("cid_aliases") -%}
    {%- set allowed = known if allowed == "all" else [] if allowed in (none, "none", "") else allowed -%}
    {%- set allowed = [allowed] if allowed is string else allowed -%}
    {{ return(known | select("in", allowed) | list) }}
{% endmacro %}
