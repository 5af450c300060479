-- From how many videos on a version's vectors are indexed.

insert into recsys.settings (key, value, reason)
values (
    'index_above', '10000',
    'videos from which on a version gets its HNSW indexes; fewer are read whole, in some milliseconds and exactly'
);
