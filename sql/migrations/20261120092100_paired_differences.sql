-- How sure the gate can be: bootstrap intervals over users, computed where the users are (trainer/gate.py).

create table recsys.paired_differences (
    model_version text not null references recsys.embedding_model_versions (version) on delete cascade,
    model_name text not null,
    slice text not null,
    metric text not null,
    n_users integer not null,
    mean double precision not null,
    low double precision not null,
    high double precision not null,
    primary key (model_version, model_name, slice, metric)
);
comment on table recsys.paired_differences is
'One row per version, model beside it, slice and metric: version minus the other model, user by user on one holdout, '
'with the 95 % bootstrap interval of the mean.';
