-- That this database's shop was carried somewhere else ('to', and then nobody may serve it here), or came from elsewhere ('from').
CREATE TABLE store_promotion (
    way   {text} NOT NULL PRIMARY KEY {check way IN ('to', 'from')},
    id    {text} NOT NULL,
    place {text} NOT NULL
) {strict};
