{#-
    White space, every kind Unicode knows, taken off both ends: a Japanese export pads with U+3000 as readily as with a
    blank. Text that begins and ends with a printable ASCII character is left alone at a third of btrim's cost.
-#}
{% macro trimmed(text) -%}
    case
        when {{ needs_no_trimming(text) }} then {{ text }}
        else btrim(
            {{ text }},
            e' \t\n\u000b\f\r\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a'
            || e'\u2028\u2029\u202f\u205f\u3000'
        )
    end
{%- endmacro %}

{% macro needs_no_trimming(text) -%}
    ascii({{ text }}) between 33 and 126 and ascii(right({{ text }}, 1)) between 33 and 126
{%- endmacro %}

{#- A uuid in its usual form, in any case, else null. -#}
{% macro as_uuid(text) -%}
    cast(
        case
            when {{ text }} ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' then {{ text }}
        end as uuid
    )
{%- endmacro %}

{#-
    %E3%81%82 -> あ. Each run of %XX is decoded where its bytes are well-formed UTF-8 without NUL (Unicode, table 3-7),
    and left as it stands where they are not: nothing here can fail.
-#}
{% macro percent_decoded(text) -%}
    case
        when strpos({{ text }}, '%') = 0 then {{ text }}
        else (
            select
                string_agg(
                    case
                        when tokens.bytes ~ '{{ well_formed_utf8() }}'
                            then convert_from(decode(tokens.bytes, 'hex'), 'UTF8')
                        else tokens.token
                    end,
                    '' order by tokens.position
                )
            from (
                select
                    parts.position,
                    parts.matched[1] as token,
                    case
                        when parts.matched[1] ~ '^%[0-9A-Fa-f]' then lower(replace(parts.matched[1], '%', ''))
                    end as bytes
                from
                    regexp_matches({{ text }}, '(?:%[0-9A-Fa-f]{2})+|[^%]+|%', 'g')
                    with ordinality as parts (matched, position)
            ) as tokens
        )
    end
{%- endmacro %}

{#- Well-formed UTF-8 without NUL, two hexadecimal digits per byte. -#}
{% macro well_formed_utf8() -%}
    ^(0[1-9a-f]|[1-7][0-9a-f]|c[2-9a-f][89ab][0-9a-f]|d[0-9a-f][89ab][0-9a-f]|e0[ab][0-9a-f][89ab][0-9a-f]
    {{- "" -}}
    |e[1-9abcef]([89ab][0-9a-f]){2}|ed[89][0-9a-f][89ab][0-9a-f]|f0[9ab][0-9a-f]([89ab][0-9a-f]){2}
    {{- "" -}}
    |f[123]([89ab][0-9a-f]){3}|f48[0-9a-f]([89ab][0-9a-f]){2})+$
{%- endmacro %}

{#- Stars: digits with an optional decimal part, full-width ones folded; everything else is null. -#}
{% macro as_stars(text) -%}
    case
        {%- for stars in range(1, 6) %}
        when {{ text }} = '{{ stars }}' then cast({{ stars }} as numeric)
        {%- endfor %}
        when {{ folded(text) }} ~ '^[0-9]{1,100}(\.[0-9]{1,100})?$' then cast({{ folded(text) }} as numeric)
    end
{%- endmacro %}

{% macro folded(text) -%}
    translate({{ trimmed(text) }}, '０１２３４５６７８９．', '0123456789.')
{%- endmacro %}

{#- Compared byte by byte: the same order in every database, and several times faster to sort. -#}
{% macro bytewise(text) -%}
    {{ text }} collate "C"
{%- endmacro %}

{#-
    Who, as a user_key; null for nobody, and for what no index can hold. The usual id, which needs no trimming and is
    short, is asked for first: trimmed twice it costs a line as much again.
-#}
{% macro reviewer_key(reviewer_id) -%}
    case
        when octet_length({{ reviewer_id }}) < 100 and {{ needs_no_trimming(reviewer_id) }} then 'review:' || {{ reviewer_id }}
        else {{ indexable("'review:' || nullif(" ~ trimmed(reviewer_id) ~ ", '')") }}
    end
{%- endmacro %}

{#- The same of a decision: a uuid is a user of the app, any other id a reviewer. -#}
{% macro decider_key(reviewer_id, user_id) -%}
    {{ indexable("coalesce(
        'app:' || " ~ as_uuid(trimmed(user_id)) ~ ",
        'review:' || coalesce(nullif(" ~ trimmed(reviewer_id) ~ ", ''), nullif(" ~ trimmed(user_id) ~ ", ''))
    )") }}
{%- endmacro %}

{#-
    The number of a user: 64 bits of a hash, which every model makes by itself, where a table of numbers would have to be
    read, written and joined to every line. 0 is nobody. That no two users have the same is a test.
-#}
{% macro user_number(user_key) -%}
    coalesce(hashtextextended({{ user_key }}, {{ var("number_seed") | int }}), 0)
{%- endmacro %}

{% macro indexable(text) -%}
    case when octet_length({{ text }}) <= 2000 then {{ text }} end
{%- endmacro %}
