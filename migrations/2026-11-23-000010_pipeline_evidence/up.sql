-- What a pipeline's status stands on: its hosts by how they ended, its commands by status. Written with its end.
ALTER TABLE pipelines ADD COLUMN evidence TEXT;
