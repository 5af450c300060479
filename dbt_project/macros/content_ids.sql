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

{#- The parts of a content id, prefix letters number letters, as an array; null where it has another form. -#}
{% macro content_id_parts(content_id) -%}
    regexp_match({{ content_id }}, '^(h_[0-9]+|[0-9]+)?([a-z]+)([0-9]+)([a-z]*)$')
{%- endmacro %}

{#-
    A content id as one alias rule sees it: equal keys are the same video to that rule.
    `parts` is content_id_parts(); numbers are compared as integers by dropping zeros in front.
-#}
{% macro alias_key(parts, rule) -%}
    {%- set prefix = "coalesce(" ~ parts ~ "[1], '')" -%}
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
