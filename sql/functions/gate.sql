-- The gate: whether a version may replace the one that serves. The rules are rows (recsys.gate_rules), the verdicts
-- are rows (recsys.gate_results). Champion and baselines were measured on the challenger's own holdout, so users pair:
-- recsys.paired_differences has the intervals, in every slice.

create or replace function recsys.measured(version text, model_name text, metric text, slice text)
returns table (value double precision, n_users integer)
language sql stable set search_path = ''
as $$
    select evaluations.value, evaluations.n_users
    from recsys.evaluations
    where
        evaluations.model_version = measured.version
        and evaluations.model_name = measured.model_name
        and evaluations.metric = measured.metric
        and evaluations.slice = measured.slice
    -- the holdout is test where there is one, else val
    order by evaluations.split = 'test' desc, evaluations.split
    limit 1
$$;
comment on function recsys.measured(text, text, text, text) is
'One metric on the holdout, of the version itself (two_tower) or of a model beside it.';

drop function if exists recsys.paired_difference(text, text, text);

create or replace function recsys.judge(version text, rule recsys.gate_rules) returns recsys.gate_results
language plpgsql stable set search_path = ''
as $$
declare
    -- Fewer users than this cannot tell a good small model from a lucky list.
    enough_users constant integer := 100;
    -- of these, less is better
    sign constant integer := case when rule.metric ~ '^(dislike|gini|largest_maker_share)' then -1 else 1 end;
    other constant text := case when rule.kind = 'max_regression' then 'champion' else rule.baseline end;
    own record;
    reference record;
    pairs record;
    difference double precision;
    verdict recsys.gate_results;
    what text := rule.metric || case rule.slice when 'all' then '' else ' of ' || rule.slice end;
begin
    select * into own from recsys.measured(version, 'two_tower', rule.metric, rule.slice);
    select * into reference from recsys.measured(version, other, rule.metric, rule.slice);
    select paired.n_users, paired.low, paired.high
    into pairs
    from recsys.paired_differences as paired
    where
        paired.model_version = version and paired.model_name = other
        and paired.metric = rule.metric and paired.slice = rule.slice;
    difference := sign * (own.value - reference.value);
    what := format('%s is %s', what, coalesce(round(own.value::numeric, 4)::text, 'not measured'));
    if reference.value is not null then
        what := format('%s, %s %s on the same holdout', what, other, round(reference.value::numeric, 4));
    end if;
    if pairs.low is not null then
        what := format(
            '%s (difference per user %s to %s, %s users)', what,
            round(pairs.low::numeric, 4), round(pairs.high::numeric, 4), pairs.n_users
        );
    end if;

    verdict.passed := case
        -- an empty holdout says nothing against anybody; a metric nobody took does
        when own.n_users = 0 then true
        when own.value is null or own.value = 'NaN' then rule.kind = 'max_regression'
        when rule.kind = 'floor' then own.value >= rule.threshold
        when reference.value is null or reference.value = 'NaN' then rule.kind = 'max_regression'
        when rule.kind = 'must_beat'
            then
                difference > coalesce(rule.threshold, 0) * abs(reference.value)
                or (
                    coalesce(own.n_users, 0) < enough_users
                    and coalesce(case sign when 1 then pairs.high >= 0 else pairs.low <= 0 end, true)
                )
        -- worse by more than is allowed, and not by chance
        else
            difference >= -coalesce(rule.threshold, 0) * abs(reference.value)
            or coalesce(own.n_users, 0) < 20
            or coalesce(pairs.low <= 0 and pairs.high >= 0, false)
    end;
    verdict.model_version := version;
    verdict.rule := rule.rule;
    verdict.value := own.value;
    verdict.reference := reference.value;
    verdict.threshold := rule.threshold;
    verdict.reason := format(
        '%s; %s', what,
        case rule.kind
            when 'floor' then format('at least %s is asked for', rule.threshold)
            when 'must_beat' then format('has to beat %s', rule.baseline)
            else format('may lose at most %s %% against the champion', round(100 * rule.threshold::numeric, 1))
        end
    );
    verdict.decided_at := now();
    return verdict;
end;
$$;
comment on function recsys.judge(text, recsys.gate_rules) is 'One rule applied to one version.';

create or replace function recsys.decide(version text) returns boolean
language plpgsql security definer set search_path = ''
as $$
declare
    is_passed boolean;
begin
    delete from recsys.gate_results as results where results.model_version = version;
    insert into recsys.gate_results
    select (recsys.judge(version, rules)).*
    from recsys.gate_rules as rules
    where rules.is_enabled;
    select coalesce(bool_and(results.passed), true)
    into is_passed
    from recsys.gate_results as results
    where results.model_version = version;

    update recsys.embedding_model_versions as registry
    set status = case when is_passed then 'candidate' else 'refused' end
    where registry.version = decide.version and registry.status in ('candidate', 'refused');
    if not is_passed then
        insert into recsys.release_log (action, model_version, previous_version, actor, reason)
        select 'refuse', version, recsys.active_version(), recsys.caller(), string_agg(rejected.reason, '; ')
        from recsys.why_rejected(version) as rejected;
    end if;
    return is_passed;
end;
$$;
comment on function recsys.decide(text) is
'Applies every enabled rule to a version, keeps the verdicts, and returns whether it may be promoted.';

create or replace function recsys.why_rejected(version text)
returns table (
    rule text, reason text, value double precision, reference double precision, threshold double precision
)
language sql stable set search_path = ''
as $$
    select results.rule, results.reason, results.value, results.reference, results.threshold
    from recsys.gate_results as results
    where results.model_version = version and not results.passed
    order by results.rule
$$;
comment on function recsys.why_rejected(text) is 'The rules a version failed and why; no row when it passed.';
