-- Pairs of filters that pages offer and that are rare together: a walk along either alone passes most of the table.
CREATE INDEX commands_actor_status ON commands (actor, status, id);
CREATE INDEX event_log_category_level ON event_log (category, level, id);
