-- The few numbers about a user that are not pooled vectors. Names, means and deviations travel in the version's config,
-- so that SQL and PyTorch (trainer/histories.py) cannot disagree about which and in what order.

create or replace function recsys.user_aggregates(wanted jsonb, liked_ids uuid[], n_dislikes bigint) returns real[]
language plpgsql stable set search_path = ''
as $$
#variable_conflict use_column
declare
    n_likes constant integer := cardinality(liked_ids);
    mean_log_price double precision;
    mean_log_duration double precision;
    mean_release_year double precision;
    unknown text;
begin
    if coalesce(jsonb_array_length(wanted), 0) = 0 then
        return '{}';
    end if;
    if to_regclass('marts.dim_videos') is not null and wanted @? '$[*] ? (@.name starts with "mean_")' then
        select
            -- greatest() passes over nulls, and an unknown price is not a price of 0
            avg(ln(1 + greatest(videos.price::double precision, 0))) filter (where videos.price is not null),
            avg(ln(1 + greatest(videos.duration_seconds::double precision, 0)))
                filter (where videos.duration_seconds is not null),
            avg((videos.released_on - date '1970-01-01') / 365.25::double precision)
        into mean_log_price, mean_log_duration, mean_release_year
        from marts.dim_videos as videos
        where videos.video_id = any(liked_ids);
    end if;
    select aggregate.value ->> 'name'
    into unknown
    from jsonb_array_elements(wanted) as aggregate (value)
    where aggregate.value ->> 'name' not in (
        'log_n_likes', 'log_n_dislikes', 'mean_log_price', 'mean_log_duration', 'mean_release_year'
    );
    if unknown is not null then
        raise exception 'SQL does not know the aggregate %', unknown using
            errcode = 'feature_not_supported', hint = 'teach it to recsys.user_aggregates, or train without it';
    end if;
    return array(
        select
            -- a mean over nothing is the mean of all users: 0 once standardised
            coalesce(
                (
                    case aggregate.value ->> 'name'
                        when 'log_n_likes' then ln(1 + n_likes::double precision)
                        when 'log_n_dislikes' then ln(1 + n_dislikes::double precision)
                        when 'mean_log_price' then mean_log_price
                        when 'mean_log_duration' then mean_log_duration
                        when 'mean_release_year' then mean_release_year
                    end
                    - (aggregate.value ->> 'mean')::double precision
                ) / (aggregate.value ->> 'std')::double precision,
                0
            )::real
        from jsonb_array_elements(wanted) with ordinality as aggregate (value, place)
        order by aggregate.place
    );
end;
$$;
comment on function recsys.user_aggregates(jsonb, uuid[], bigint) is
'The standardised aggregates of a history, in the order of the version''s config; over the likes that are pooled.';
