DROP INDEX event_log_category_level;
DROP INDEX commands_actor_status;
