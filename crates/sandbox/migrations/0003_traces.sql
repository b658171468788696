-- The request that a change goes back to, told with its webhook. Those made before say nothing of it.
ALTER TABLE sandbox_webhook ADD COLUMN traceparent {text};
