-- What is needed to find anything by its identifier, and to prove who validated a height. Both
-- follow from the blocks and are made anew from them.

CREATE TABLE transactions (
    height BIGINT NOT NULL,
    place BIGINT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (height, place)
);
CREATE INDEX transactions_by_hash ON transactions (hash);
CREATE INDEX blocks_by_hash ON blocks (hash);
CREATE INDEX answers_by_order ON answers (order_id);
CREATE INDEX readings_by_party ON readings (party, period_start_ms);

-- Each set of validators from the height after which it decides; the bytes are borsh.
CREATE TABLE validator_sets (
    height BIGINT PRIMARY KEY NOT NULL,
    hash TEXT NOT NULL,
    validators BLOB NOT NULL
);
