-- A/B: versions served beside the active one, who gets which, and what was shown.

create or replace function recsys.start_experiment(experiment text, arms jsonb, description text default null)
returns void
language plpgsql set search_path = ''
as $$
declare
    total constant double precision := (
        select sum((arm.value ->> 'share')::double precision) from jsonb_array_elements(arms) as arm (value)
    );
    missing text;
begin
    if total is null or total > 1.000001 then
        raise exception 'the shares of experiment % add up to %', experiment, total using
            errcode = 'invalid_parameter_value',
            hint = 'write arms as [{"arm": "a", "version": null, "share": 0.5, "explore": 0}, ...], shares at most 1 in sum';
    end if;
    select arm.value ->> 'version'
    into missing
    from jsonb_array_elements(arms) as arm (value)
    where
        arm.value ->> 'version' is not null
        and to_regclass(recsys.partition_of('video_embeddings', arm.value ->> 'version')) is null;
    if missing is not null then
        raise exception 'version % has no vectors to serve', missing using
            errcode = 'invalid_parameter_value', hint = 'list versions with `python -m trainer versions`';
    end if;
    perform recsys.stop_experiment();
    insert into recsys.experiments (experiment, is_running, description, started_at)
    values (start_experiment.experiment, true, start_experiment.description, now());
    insert into recsys.experiment_arms (experiment, arm, model_version, user_share, explore)
    select
        start_experiment.experiment, arm.value ->> 'arm', arm.value ->> 'version',
        (arm.value ->> 'share')::double precision, coalesce((arm.value ->> 'explore')::double precision, 0)
    from jsonb_array_elements(arms) as arm (value);
end;
$$;
comment on function recsys.start_experiment(text, jsonb, text) is
'Starts an experiment under a new name and stops the one that runs. Arms: [{"arm", "version", "share", "explore"}], '
'version null for the active one, explore the share of places drawn at random (recsys.explored), 0 when left out.';

create or replace function recsys.stop_experiment() returns void
language sql set search_path = ''
as $$
    update recsys.experiments set is_running = false, stopped_at = now() where is_running
$$;
comment on function recsys.stop_experiment() is 'Everybody gets the active version again.';

-- once, where an earlier release made it without the column explore: a function's columns cannot be replaced
do $$
begin
    if pg_get_function_result(to_regprocedure('recsys.assigned_arm(text)')) not like '%explore%' then
        drop function recsys.assigned_arm(text);
    end if;
end;
$$;

create or replace function recsys.assigned_arm(user_key text)
returns table (experiment text, arm text, model_version text, explore double precision)
language sql stable set search_path = ''
as $$
    -- md5, not hashtext: the same user is in the same arm on every server and after every upgrade
    with placed as (
        select
            arms.experiment,
            arms.arm,
            arms.model_version,
            arms.explore,
            sum(arms.user_share) over (order by arms.arm) as ends_at,
            ('x' || substr(md5(arms.experiment || ':' || user_key), 1, 8))::bit(32)::bigint / 4294967296.0 as bucket
        from recsys.experiments
        inner join recsys.experiment_arms as arms on arms.experiment = experiments.experiment
        where experiments.is_running
    )

    select placed.experiment, placed.arm, placed.model_version, placed.explore
    from placed
    where placed.bucket < placed.ends_at
    order by placed.ends_at
    limit 1
$$;
comment on function recsys.assigned_arm(text) is
'The arm of a user in the running experiment: always the same one, by hash of experiment and user. No row outside.';

create or replace function recsys.experiment_version(user_key text) returns text
language sql stable set search_path = ''
as $$
    select assigned.model_version from recsys.assigned_arm(user_key) as assigned
$$;
comment on function recsys.experiment_version(text) is 'The version a user''s arm serves; null: the active one.';

-- once, where an earlier release made it without waited_ms: two functions of one name would be ambiguous
drop function if exists public.log_impressions(jsonb, text, uuid);

create or replace function public.log_impressions(
    shown jsonb, surface text default null, for_user uuid default null, waited_ms real default null
)
returns integer
language plpgsql security definer set search_path = ''
as $$
declare
    asked constant uuid := recsys.asked_user(for_user);
    n_rows integer;
begin
    if jsonb_typeof(shown) is distinct from 'array' or jsonb_array_length(shown) > 1000 then
        raise exception 'impressions come as an array of at most 1000 rows' using
            errcode = 'invalid_parameter_value',
            hint = 'pass on what recommend_videos returned: [{"rank", "video_id", "score", "model_version"}]';
    end if;
    if asked is null then
        return 0;
    end if;
    insert into recsys.impressions
        (user_id, video_id, rank, score, model_version, propensity, experiment, arm, surface, waited_ms)
    select
        asked, impression.video_id, coalesce(impression.rank, impression.place), impression.score,
        impression.model_version, drawn.propensity, assigned.experiment, assigned.arm,
        left(log_impressions.surface, 100), log_impressions.waited_ms
    from rows from (
        jsonb_to_recordset(shown) as (rank integer, video_id uuid, score real, model_version text)
    ) with ordinality as impression (rank, video_id, score, model_version, place)
    left join recsys.assigned_arm('app:' || asked) as assigned on true
    -- the draw is the same within the hour: asked again, it says with which chance each video came
    left join lateral (
        select again.video_id, again.propensity
        from recsys.recommend(
            'app:' || asked, jsonb_array_length(shown), version => assigned.model_version, explore => assigned.explore
        ) as again
        where assigned.explore > 0
    ) as drawn on drawn.video_id = impression.video_id
    where impression.video_id is not null;
    get diagnostics n_rows = row_count;
    return n_rows;
end;
$$;
comment on function public.log_impressions(jsonb, text, uuid, real) is
'Logs what was shown to the user who asks: the rows of recommend_videos as they came. Experiment and arm are added '
'here, and the propensity of an unfiltered list where the arm explores. waited_ms: how long the app waited for the '
'list, for the p95 of marts.rpt_model_health. Returns how many; visitors are not logged.';
