-- Where to read a partition of Kafka from when it is ours again: nothing before it is missing here. Written with the effects.
ALTER TABLE engine_cursor ADD COLUMN next_offset {int} NOT NULL DEFAULT 0;

-- Up to where a service's log lies in Kafka for certain. A new epoch ends whoever relays under the old one.
CREATE TABLE engine_relay (
    service {text} NOT NULL,
    source  {text} NOT NULL,
    version {int} NOT NULL,
    seq     {int} NOT NULL {check seq >= 0},
    epoch   {int} NOT NULL,
    PRIMARY KEY (service, source)
) {strict};
