-- What a list may be asked for, what exploration logs, and where the newest videos are found.

create type recsys.list_filters as (
    with_tag_ids uuid [],
    without_tag_ids uuid [],
    released_after date,
    released_before date,
    max_per_maker integer
);
comment on type recsys.list_filters is
'What a list is narrowed by: tags a video must and must not carry, first and last day of release, rows per maker.';

alter table recsys.experiment_arms
add column explore double precision not null default 0 check (explore >= 0 and explore <= 1);
comment on column recsys.experiment_arms.explore is
'Share of a list''s places that are drawn at random from the candidates after the best ones; 0: none.';
comment on column recsys.impressions.propensity is
'The chance with which this video came into this list, where its arm explores; null elsewhere.';

create index video_popularity_listed_idx on recsys.video_popularity (listed_at desc, video_id);

insert into recsys.settings (key, value, reason)
values (
    'new_share', '0.2',
    'share of the places that newly listed videos get in the lists of visitors and users without a like; 0: none'
);

-- Lists narrowed by release look it up; on our own table only.
do $$
begin
    if exists (select from recsys.settings where key = 'created_objects' and value ? 'public.videos') then
        create index videos_product_released_at_idx on public.videos (product_released_at);
    end if;
end;
$$;
