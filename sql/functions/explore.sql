-- Exploration, for the arms of an experiment that ask for it: some places go to candidates the model ranks lower, so
-- that what people make of them is seen at all. Off by default.

create or replace function recsys.explored(
    user_key text, candidate_ids uuid[], scores real[], wanted integer, explore double precision
) returns table (video_id uuid, score real, propensity real)
language sql stable set search_path = ''
as $$
    with size as (
        -- least(): where there are no more candidates than places, everything is shown
        select least(ceil(explore * wanted)::integer, wanted) as n_drawn, cardinality(candidate_ids) as n_candidates
    ),

    ranked as (
        select
            candidate.id,
            candidate.score,
            candidate.place,
            candidate.place <= wanted - size.n_drawn as is_kept,
            -- the same list for the same person within an hour: turning a page does not shuffle it
            row_number() over (
                partition by candidate.place <= wanted - size.n_drawn
                order by
                    md5(user_key || to_char(now() at time zone 'UTC', ':YYYYMMDDHH24:') || candidate.id), candidate.id
            ) as lot,
            least(1, size.n_drawn::real / greatest(size.n_candidates - (wanted - size.n_drawn), 1)) as chance,
            size.n_drawn
        from unnest(candidate_ids, scores) with ordinality as candidate (id, score, place)
        cross join size
    )

    select ranked.id, ranked.score, case when ranked.is_kept then 1 else ranked.chance end::real
    from ranked
    where ranked.is_kept or ranked.lot <= ranked.n_drawn
    order by ranked.place
$$;
comment on function recsys.explored(text, uuid[], real[], integer, double precision) is
'wanted of the candidates (best first): all but the share explore are the best, the rest are drawn without '
'replacement from the others, every one with the same chance. propensity is the chance of being in the list: 1 for '
'the best, drawn places / candidates for the rest. The draw changes by user and hour.';
