-- How long the app waited for a list: measured where it is felt, and kept with what was shown.
alter table recsys.impressions
add column waited_ms real check (waited_ms >= 0 and waited_ms < 'infinity');
comment on column recsys.impressions.waited_ms is
'Milliseconds from the app''s request to its list, as the app measured them, on every row of that list; null where '
'it did not.';
