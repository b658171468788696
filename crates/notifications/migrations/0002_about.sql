-- What of the order a letter is about, where it can get several of one template: an attempt, a refund. Nothing: the order itself.
ALTER TABLE notifications_message ADD COLUMN about {text} NOT NULL DEFAULT '';
DROP INDEX notifications_message_once;
CREATE UNIQUE INDEX notifications_message_once ON notifications_message (order_id, template, about);
