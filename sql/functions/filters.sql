-- What a list is narrowed by (recsys.list_filters): read once per call, written into the queries as conditions.

create or replace function recsys.tag_ids(names text[]) returns uuid[]
language plpgsql stable set search_path = ''
as $$
declare
    wanted text[];
    found uuid[];
begin
    if coalesce(cardinality(names), 0) = 0 then
        return null;
    end if;
    wanted := array(select distinct name from unnest(names) as name where name is not null);
    if cardinality(wanted) = 0 then
        return null;
    end if;
    if to_regclass('public.tags') is not null then
        found := array(select tags.id from public.tags where tags.name = any(wanted));
    end if;
    -- a name nobody knows stands for a tag no video has
    return found || array_fill(
        '00000000-0000-0000-0000-000000000000'::uuid, array[cardinality(wanted) - coalesce(cardinality(found), 0)]
    );
end;
$$;
comment on function recsys.tag_ids(text[]) is
'The ids of tags by name, the zero uuid for each unknown one; null when no name is given.';

create or replace function recsys.list_filters(
    with_tags text[], without_tags text[], released_after date, released_before date, max_per_maker integer
) returns recsys.list_filters
language sql stable set search_path = ''
as $$
    select row(
        recsys.tag_ids(with_tags), recsys.tag_ids(without_tags), released_after, released_before,
        case when max_per_maker > 0 then max_per_maker end
    )::recsys.list_filters
$$;
comment on function recsys.list_filters(text[], text[], date, date, integer) is
'The filters of a list as an app writes them: tags by name, no limit per maker below one.';

create or replace function recsys.first_moment(day date) returns timestamptz
language sql immutable set search_path = ''
as $$
    select day::timestamp at time zone 'UTC'
$$;
comment on function recsys.first_moment(date) is 'When a day begins: releases are days in UTC, as in the marts.';

create or replace function recsys.is_narrowed(filters recsys.list_filters) returns boolean
language sql immutable set search_path = ''
as $$
    select num_nonnulls((filters).with_tag_ids, (filters).released_after, (filters).released_before) > 0
$$;
comment on function recsys.is_narrowed(recsys.list_filters) is 'Whether only some videos are wanted.';

create or replace function recsys.wanted_videos(filters recsys.list_filters, at_most integer) returns uuid[]
language plpgsql stable set search_path = ''
as $$
#variable_conflict use_column
declare
    since constant timestamptz := coalesce(recsys.first_moment(filters.released_after), '-infinity');
    until constant timestamptz := coalesce(recsys.first_moment(filters.released_before + 1), 'infinity');
begin
    if filters.with_tag_ids is null then
        return array(
            select videos.id
            from public.videos
            where videos.product_released_at >= since and videos.product_released_at < until
            limit at_most
        );
    end if;
    return array(
        select video_tags.video_id
        from public.video_tags
        where
            video_tags.tag_id = any(filters.with_tag_ids)
            and (
                num_nonnulls(filters.released_after, filters.released_before) = 0
                or exists (
                    select from public.videos
                    where
                        videos.id = video_tags.video_id
                        and videos.product_released_at >= since
                        and videos.product_released_at < until
                )
            )
        group by video_tags.video_id
        having count(*) = cardinality(filters.with_tag_ids)
        limit at_most
    );
end;
$$;
comment on function recsys.wanted_videos(recsys.list_filters, integer) is
'Videos that carry every wanted tag and were released in the wanted days, at most so many; none whose release is '
'not known where a day is asked for.';

create or replace function recsys.wanted_condition(video text, filters recsys.list_filters) returns text
language sql immutable set search_path = ''
as $$
    -- offset 0 keeps these checks of each candidate: as joins they would have to be computed for all videos first
    select concat(
        case when (filters).with_tag_ids is not null then format(
            ' and (select count(*) from public.video_tags where video_tags.video_id = %s'
            ' and video_tags.tag_id = any(($3).with_tag_ids)) = cardinality(($3).with_tag_ids)', video
        ) end,
        case when num_nonnulls((filters).released_after, (filters).released_before) > 0 then format(
            ' and exists (select from public.videos where videos.id = %s'
            ' and videos.product_released_at >= coalesce(recsys.first_moment(($3).released_after), ''-infinity'')'
            ' and videos.product_released_at < coalesce(recsys.first_moment(($3).released_before + 1), ''infinity'')'
            ' offset 0)', video
        ) end
    )
$$;
comment on function recsys.wanted_condition(text, recsys.list_filters) is
'The same as a condition on one video, for queries whose third parameter are the filters.';

create or replace function recsys.unwanted_condition(video text, filters recsys.list_filters) returns text
language sql immutable set search_path = ''
as $$
    select case when (filters).without_tag_ids is null then '' else format(
        ' and not exists (select from public.video_tags where video_tags.video_id = %s'
        ' and video_tags.tag_id = any(($3).without_tag_ids) offset 0)', video
    ) end
$$;
comment on function recsys.unwanted_condition(text, recsys.list_filters) is
'That a video carries none of the unwanted tags, for queries whose third parameter are the filters.';
