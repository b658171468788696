-- One row per service: the order of its log, the fence against an old shard map, the ground of every expectation.
CREATE TABLE store_head (
    service {text} NOT NULL PRIMARY KEY,
    seq     {int} NOT NULL,
    epoch   {int} NOT NULL,
    source  {text} NOT NULL
) {strict};

-- Events in commit order. They stay with the shard: another shard has another source.
CREATE TABLE store_outbox (
    source    {text} NOT NULL,
    seq       {int} NOT NULL,
    topic     {text} NOT NULL,
    partition {int} NOT NULL,
    key       {text} NOT NULL,
    kind      {text} NOT NULL,
    payload   {text} NOT NULL,
    PRIMARY KEY (source, seq)
) {strict};

-- For whoever sends a partition to another database: the event before this one on its topic and partition.
CREATE INDEX store_outbox_partition ON store_outbox (source, topic, partition, seq);
