-- The read model of one community, filled from verified blocks alone.
-- Energies are Wh, prices micro-units per kWh, money micro-units, instants ms UTC; identifiers and
-- hashes are lower-case hexadecimal digits. Bytes are borsh.

-- Whose read model this is, and by which version of the projection it was filled (0: unfinished).
CREATE TABLE community (
    chain_id TEXT PRIMARY KEY NOT NULL,
    projection BIGINT NOT NULL
);

CREATE TABLE blocks (
    height BIGINT PRIMARY KEY NOT NULL,
    time_ms BIGINT NOT NULL,
    hash TEXT NOT NULL,
    round BIGINT NOT NULL,
    transactions_count BIGINT NOT NULL,
    results_count BIGINT NOT NULL,
    signatures_count BIGINT NOT NULL,
    committed BLOB NOT NULL,
    results BLOB NOT NULL
);

CREATE TABLE snapshots (
    height BIGINT PRIMARY KEY NOT NULL,
    state BLOB NOT NULL
);

CREATE TABLE clearings (
    period_start_ms BIGINT NOT NULL,
    gate BIGINT NOT NULL,
    height BIGINT NOT NULL,
    result_index BIGINT NOT NULL,
    closed_at_ms BIGINT NOT NULL,
    price BIGINT,
    volume_wh BIGINT NOT NULL,
    welfare BIGINT NOT NULL,
    bids_count BIGINT NOT NULL,
    offers_count BIGINT NOT NULL,
    PRIMARY KEY (period_start_ms, gate)
);
CREATE INDEX clearings_by_height ON clearings (height);

-- The steps of demand (side 'buy', falling limits) and supply (side 'sell', rising limits).
CREATE TABLE clearing_steps (
    period_start_ms BIGINT NOT NULL,
    gate BIGINT NOT NULL,
    side TEXT NOT NULL,
    place BIGINT NOT NULL,
    limit_price BIGINT NOT NULL,
    energy_wh BIGINT NOT NULL,
    PRIMARY KEY (period_start_ms, gate, side, place)
);

CREATE TABLE trades (
    height BIGINT NOT NULL,
    result_index BIGINT NOT NULL,
    period_start_ms BIGINT NOT NULL,
    gate BIGINT NOT NULL,
    seller TEXT NOT NULL,
    buyer TEXT NOT NULL,
    energy_wh BIGINT NOT NULL,
    seller_price BIGINT NOT NULL,
    buyer_price BIGINT NOT NULL,
    seller_amount BIGINT NOT NULL,
    buyer_amount BIGINT NOT NULL,
    charge BIGINT NOT NULL,
    origin TEXT,
    PRIMARY KEY (height, result_index)
);
CREATE INDEX trades_by_seller ON trades (seller, period_start_ms);
CREATE INDEX trades_by_buyer ON trades (buyer, period_start_ms);
CREATE INDEX trades_by_period ON trades (period_start_ms);

CREATE TABLE answers (
    height BIGINT NOT NULL,
    result_index BIGINT NOT NULL,
    order_id TEXT NOT NULL,
    party TEXT NOT NULL,
    side TEXT NOT NULL,
    period_start_ms BIGINT NOT NULL,
    gate BIGINT NOT NULL,
    ordered_wh BIGINT NOT NULL,
    filled_wh BIGINT NOT NULL,
    price BIGINT,
    reason TEXT NOT NULL,
    reason_limit BIGINT,
    PRIMARY KEY (height, result_index)
);
CREATE INDEX answers_by_party ON answers (party, period_start_ms);

-- What a party said its offers for a period are made of.
CREATE TABLE declared_origins (
    period_start_ms BIGINT NOT NULL,
    party TEXT NOT NULL,
    origin TEXT NOT NULL,
    PRIMARY KEY (period_start_ms, party)
);
CREATE INDEX declared_origins_by_party ON declared_origins (party, origin);

CREATE TABLE settlements (
    period_start_ms BIGINT NOT NULL,
    party TEXT NOT NULL,
    height BIGINT NOT NULL,
    result_index BIGINT NOT NULL,
    imported_wh BIGINT NOT NULL,
    exported_wh BIGINT NOT NULL,
    quality TEXT NOT NULL,
    sold_wh BIGINT NOT NULL,
    bought_wh BIGINT NOT NULL,
    surplus_wh BIGINT NOT NULL,
    missing_wh BIGINT NOT NULL,
    extra_wh BIGINT NOT NULL,
    not_taken_wh BIGINT NOT NULL,
    trade_income BIGINT NOT NULL,
    trade_cost BIGINT NOT NULL,
    supplier_income BIGINT NOT NULL,
    supplier_cost BIGINT NOT NULL,
    net BIGINT NOT NULL,
    net_grid_only BIGINT NOT NULL,
    PRIMARY KEY (period_start_ms, party)
);
CREATE INDEX settlements_by_party ON settlements (party, period_start_ms);

-- The delivery periods of which something has been settled.
CREATE TABLE settled_periods (
    period_start_ms BIGINT PRIMARY KEY NOT NULL
);

CREATE TABLE postings (
    number BIGINT PRIMARY KEY NOT NULL,
    height BIGINT NOT NULL,
    result_index BIGINT NOT NULL,
    period_start_ms BIGINT NOT NULL,
    debit TEXT NOT NULL,
    credit TEXT NOT NULL,
    amount BIGINT NOT NULL,
    cause TEXT NOT NULL
);
CREATE INDEX postings_by_debit ON postings (debit, amount);
CREATE INDEX postings_by_credit ON postings (credit, amount);

-- The reading that counts for a party and period.
CREATE TABLE readings (
    period_start_ms BIGINT NOT NULL,
    party TEXT NOT NULL,
    height BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    imported_wh BIGINT NOT NULL,
    exported_wh BIGINT NOT NULL,
    quality TEXT NOT NULL,
    PRIMARY KEY (period_start_ms, party)
);
