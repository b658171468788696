-- Whoever the shop knows: customers, staff, couriers. Their credentials stand elsewhere, so that no view can hold them.
CREATE TABLE identity_person (
    id      {id} NOT NULL,
    version {int} NOT NULL,
    bucket  {int} NOT NULL,
    doc_v   {int} NOT NULL,
    doc     {text} NOT NULL,
    PRIMARY KEY (id, bucket)
) {strict};

-- Who has which role, for the list of a role's people.
CREATE TABLE identity_role (
    role    {text} NOT NULL,
    person  {id} NOT NULL,
    version {int} NOT NULL,
    bucket  {int} NOT NULL,
    PRIMARY KEY (role, person, bucket)
) {strict};

-- Whose an address is. Its key is what makes an address unique.
CREATE TABLE identity_email (
    address {text} NOT NULL,
    version {int} NOT NULL,
    person  {id} NOT NULL,
    PRIMARY KEY (address)
) {strict};

-- The argon2id hash of each person's password.
CREATE TABLE identity_credential (
    person     {id} NOT NULL,
    version    {int} NOT NULL,
    bucket     {int} NOT NULL,
    hash       {text} NOT NULL,
    changed_at {int} NOT NULL,
    PRIMARY KEY (person, bucket)
) {strict};

-- Attempts to sign in by the digest of the address that was typed, whether anybody has it or not.
CREATE TABLE identity_attempt (
    account      {text} NOT NULL,
    version      {int} NOT NULL,
    failures     {int} NOT NULL {check failures > 0},
    locked_until {int} NOT NULL,
    forgotten_at {int} NOT NULL,
    PRIMARY KEY (account)
) {strict};
CREATE INDEX identity_attempt_forgotten ON identity_attempt (forgotten_at);

-- The keys that sign tokens, numbered in the order in which they were made.
CREATE TABLE identity_signing_key (
    number  {int} NOT NULL,
    version {int} NOT NULL,
    kid     {text} NOT NULL,
    pkcs8   {blob} NOT NULL,
    made_at {int} NOT NULL,
    PRIMARY KEY (number)
) {strict};

-- Which stores there are: a copy of what delivery says, so that roles are scoped to stores that exist.
CREATE TABLE identity_store (
    store   {id} NOT NULL,
    version {int} NOT NULL,
    PRIMARY KEY (store)
) {strict};
