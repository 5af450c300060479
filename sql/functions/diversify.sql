-- Lists that are not twenty times the same: maximal marginal relevance (Carbonell & Goldstein 1998).

create or replace function recsys.diversified(
    version text, candidate_ids uuid[], scores real[], wanted integer, trade_off real
) returns table (video_id uuid, score real, place integer)
language plpgsql stable set search_path = ''
as $$
declare
    embeddings extensions.vector[];
    likeness real[] := array_fill(-1::real, array[cardinality(candidate_ids)]);
    is_open boolean[] := array_fill(true, array[cardinality(candidate_ids)]);
    best integer;
begin
    select array_agg(stored.embedding order by candidate.place)
    into embeddings
    from unnest(candidate_ids) with ordinality as candidate (id, place)
    inner join recsys.video_embeddings as stored
        on stored.model_version = version and stored.video_id = candidate.id;

    for step in 1 .. least(wanted, cardinality(candidate_ids)) loop
        -- relevance against likeness to what already stands in the list
        select candidate.place
        into best
        from unnest(scores, likeness, is_open) with ordinality as candidate (score, likeness, is_open, place)
        where candidate.is_open
        order by
            (1 - trade_off) * candidate.score
            - case when step = 1 then 0 else trade_off * candidate.likeness end desc,
            candidate.place
        limit 1;
        video_id := candidate_ids[best];
        score := scores[best];
        place := step;
        return next;
        is_open[best] := false;
        select array_agg(
            greatest(seen.likeness, (1 - (seen.embedding operator(extensions.<=>) embeddings[best]))::real)
            order by seen.place
        )
        into likeness
        from unnest(likeness, embeddings) with ordinality as seen (likeness, embedding, place);
    end loop;
end;
$$;
comment on function recsys.diversified(text, uuid[], real[], integer, real) is
'Maximal marginal relevance: wanted of the candidates, each chosen for (1 - trade_off) * score - trade_off * its '
'greatest similarity to those before it.';
