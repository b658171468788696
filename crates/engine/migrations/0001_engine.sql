-- Where each consumer stands in each log; moves by compare-and-set in the batch that holds the effects.
CREATE TABLE engine_cursor (
    service   {text} NOT NULL,
    source    {text} NOT NULL,
    topic     {text} NOT NULL,
    partition {int} NOT NULL,
    version   {int} NOT NULL,
    seq       {int} NOT NULL {check seq >= 0},
    PRIMARY KEY (service, source, topic, partition)
) {strict};

-- What is to happen later; firing is an ordinary input.
CREATE TABLE engine_timer (
    service {text} NOT NULL,
    kind    {text} NOT NULL,
    subject {text} NOT NULL,
    version {int} NOT NULL,
    bucket  {int} NOT NULL,
    due_at  {int} NOT NULL,
    PRIMARY KEY (service, kind, subject)
) {strict};
CREATE INDEX engine_timer_due ON engine_timer (service, due_at);

-- Which process does the work that only one should do; a courtesy, since the compare-and-set keeps it safe.
CREATE TABLE engine_lease (
    service {text} NOT NULL,
    name    {text} NOT NULL,
    version {int} NOT NULL,
    holder  {text} NOT NULL,
    epoch   {int} NOT NULL,
    until   {int} NOT NULL,
    PRIMARY KEY (service, name)
) {strict};

-- Idempotency keys, stored with the change they caused.
CREATE TABLE engine_key (
    service     {text} NOT NULL,
    scope       {text} NOT NULL,
    key         {text} NOT NULL,
    version     {int} NOT NULL,
    bucket      {int} NOT NULL,
    fingerprint {blob} NOT NULL,
    status      {int} NOT NULL,
    resource    {text} NOT NULL,
    expires_at  {int},
    PRIMARY KEY (service, scope, key)
) {strict};
CREATE INDEX engine_key_expiry ON engine_key (service, expires_at);

-- Events that could not be handled, and those behind them of the same key.
CREATE TABLE engine_parked (
    service   {text} NOT NULL,
    source    {text} NOT NULL,
    seq       {int} NOT NULL,
    version   {int} NOT NULL,
    bucket    {int} NOT NULL,
    topic     {text} NOT NULL,
    key       {text} NOT NULL,
    kind      {text} NOT NULL,
    payload   {text} NOT NULL,
    error     {text} NOT NULL,
    parked_at {int} NOT NULL,
    PRIMARY KEY (service, source, seq)
) {strict};

-- Keys that are stopped because one of their events is parked, and by how many.
CREATE TABLE engine_stopped_key (
    service {text} NOT NULL,
    source  {text} NOT NULL,
    key     {text} NOT NULL,
    version {int} NOT NULL,
    bucket  {int} NOT NULL,
    events  {int} NOT NULL {check events > 0},
    PRIMARY KEY (service, source, key)
) {strict};

-- Public keys of identity's tokens: each service's own copy, so that a restart while identity is down is harmless.
CREATE TABLE engine_token_key (
    service    {text} NOT NULL,
    kid        {text} NOT NULL,
    version    {int} NOT NULL,
    public_key {text} NOT NULL,
    PRIMARY KEY (service, kid)
) {strict};
