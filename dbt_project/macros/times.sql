{#-
    A time as people write it: ISO 8601 (no zone means UTC), unix seconds (a fraction is allowed) or milliseconds.
    Whole numbers from 10^11 are milliseconds: as seconds that would be the year 5138. Everything else is null, and
    nothing here can fail: each part is checked before it is cast.
-#}
{% macro as_time(text) -%}
    case
        when {{ text }} is null then null
        -- the usual form, asked in the cheapest way: a pattern with counts takes four times as long
        when {{ text }} !~ '[^0-9]' and octet_length({{ text }}) between 1 and 10
            then to_timestamp(cast({{ text }} as bigint))
        when {{ text }} ~ '^[0-9]{1,14}(\.[0-9]{1,12})?$'
            then
                to_timestamp(
                    cast({{ text }} as double precision)
                    / case when cast({{ text }} as double precision) >= 1e11 then 1000 else 1 end
                )
        when {{ text }} ~* '{{ iso_date() }}([t ]{{ iso_clock() }} ?{{ iso_zone() }}?)?$'
            then
                case
                    when {{ is_real_day(text, 1, 6, 9) }}
                        then cast({{ with_zone(text) }} as timestamp with time zone)
                end
        when {{ text }} ~* '{{ iso_basic() }}$'
            then
                case
                    when {{ is_real_day(text, 1, 5, 7) }}
                        then cast({{ with_zone(text) }} as timestamp with time zone)
                end
    end
{%- endmacro %}

{#- The text with UTC written out where it names no zone; a decimal comma becomes a point. -#}
{% macro with_zone(text) -%}
    replace({{ text }}, ',', '.')
    || case
        when length({{ text }}) = 10 then ' 00:00z'
        when {{ text }} ~* '[t ].*{{ iso_zone() }}$' then ''
        else 'z'
    end
{%- endmacro %}

{% macro iso_date() -%}
    ^(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])
{%- endmacro %}

{% macro iso_clock() -%}
    (?:(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]{1,12})?)?|24:00(?::00)?)
{%- endmacro %}

{% macro iso_zone() -%}
    (?:z|utc|[+-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?)
{%- endmacro %}

{% macro iso_basic() -%}
    ^(?!0000)[0-9]{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])
    {{- "" -}}
    t(?:[01][0-9]|2[0-3])[0-5][0-9](?:[0-5][0-9](?:[.,][0-9]{1,12})?)?{{ iso_zone() }}?
{%- endmacro %}

{#- Whether a day above 28 exists in its month; `at_*` are the 1-based positions of year, month, day. -#}
{% macro is_real_day(text, at_year, at_month, at_day) -%}
    case
        when cast(substr({{ text }}, {{ at_day }}, 2) as integer) <= 28 then true
        else cast(substr({{ text }}, {{ at_day }}, 2) as integer) <= extract(
            day from make_date(
                cast(substr({{ text }}, {{ at_year }}, 4) as integer),
                cast(substr({{ text }}, {{ at_month }}, 2) as integer),
                1
            ) + interval '1 month - 1 day'
        )
    end
{%- endmacro %}

{#- Seed B's window; a row without a time is never known to be outside. -#}
{% macro is_outside_window(occurred_at, clock="now()") -%}
    {%- if var("window_months") is none -%}
        false
    {%- else -%}
        {{ occurred_at }} < {{ clock }} - interval '{{ var("window_months") }} months'
    {%- endif -%}
{%- endmacro %}

{#- Time passes: 1 in the future, 2 outside the window, else 0. -#}
{% macro time_state(happened_at, clock="now()") -%}
    case when {{ happened_at }} > {{ clock }} then 1 when {{ is_outside_window(happened_at, clock) }} then 2 else 0 end
{%- endmacro %}
