-- The parked events of one key in their order.
CREATE INDEX engine_parked_key ON engine_parked (service, source, key, seq);

-- Parked events that somebody dropped instead of having them tried again, with who and why.
CREATE TABLE engine_dropped (
    service    {text} NOT NULL,
    source     {text} NOT NULL,
    seq        {int} NOT NULL,
    version    {int} NOT NULL,
    bucket     {int} NOT NULL,
    topic      {text} NOT NULL,
    key        {text} NOT NULL,
    kind       {text} NOT NULL,
    payload    {text} NOT NULL,
    error      {text} NOT NULL,
    parked_at  {int} NOT NULL,
    dropped_at {int} NOT NULL,
    dropped_by {text} NOT NULL,
    reason     {text} NOT NULL,
    PRIMARY KEY (service, source, seq)
) {strict};
