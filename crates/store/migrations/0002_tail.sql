-- Where a topic and partition ended that clean-up has taken rows from: the last number that it removed there.
CREATE TABLE store_tail (
    source    {text} NOT NULL,
    topic     {text} NOT NULL,
    partition {int} NOT NULL,
    seq       {int} NOT NULL,
    PRIMARY KEY (source, topic, partition)
) {strict};
