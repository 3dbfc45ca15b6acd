-- Zones, complete settlements and certificates of origin. Everything here follows from the blocks
-- and is made anew from them, so tables that gain columns are made anew too.

-- What sellers get per kWh on average; what buyers pay stands as price.
ALTER TABLE clearings ADD COLUMN seller_price BIGINT;

CREATE TABLE clearing_zones (
    period_start_ms BIGINT NOT NULL,
    gate BIGINT NOT NULL,
    zone BIGINT NOT NULL,
    price BIGINT,
    bought_wh BIGINT NOT NULL,
    sold_wh BIGINT NOT NULL,
    PRIMARY KEY (period_start_ms, gate, zone)
);

-- The edge above each zone but the root; flows towards the parent are positive.
CREATE TABLE clearing_edges (
    period_start_ms BIGINT NOT NULL,
    gate BIGINT NOT NULL,
    zone BIGINT NOT NULL,
    flow_wh BIGINT NOT NULL,
    charge BIGINT NOT NULL,
    rent BIGINT NOT NULL,
    PRIMARY KEY (period_start_ms, gate, zone)
);

DROP TABLE trades;
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
    rent BIGINT NOT NULL,
    path_from BIGINT NOT NULL,
    path_over BIGINT NOT NULL,
    path_to BIGINT NOT NULL,
    origin TEXT,
    PRIMARY KEY (height, result_index)
);
CREATE INDEX trades_by_seller ON trades (seller, period_start_ms);
CREATE INDEX trades_by_buyer ON trades (buyer, period_start_ms);
CREATE INDEX trades_by_period ON trades (period_start_ms);

-- The zone below a full edge, where that is the reason.
ALTER TABLE answers ADD COLUMN reason_zone BIGINT;

DROP TABLE settlements;
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
    pooled_long_wh BIGINT NOT NULL,
    pooled_short_wh BIGINT NOT NULL,
    supplied_wh BIGINT NOT NULL,
    fed_in_wh BIGINT NOT NULL,
    trade_income BIGINT NOT NULL,
    trade_cost BIGINT NOT NULL,
    trade_wheeling BIGINT NOT NULL,
    congestion_rent BIGINT NOT NULL,
    pool_income BIGINT NOT NULL,
    pool_cost BIGINT NOT NULL,
    pool_wheeling BIGINT NOT NULL,
    supplier_income BIGINT NOT NULL,
    supplier_cost BIGINT NOT NULL,
    levies BIGINT NOT NULL,
    tax BIGINT NOT NULL,
    net BIGINT NOT NULL,
    net_grid_only BIGINT NOT NULL,
    PRIMARY KEY (period_start_ms, party)
);
CREATE INDEX settlements_by_party ON settlements (party, period_start_ms);

-- Certificates of origin as they were issued, and with negative energy withdrawn: what holds is
-- their sum.
CREATE TABLE origin_certificates (
    height BIGINT NOT NULL,
    result_index BIGINT NOT NULL,
    period_start_ms BIGINT NOT NULL,
    producer TEXT NOT NULL,
    consumer TEXT NOT NULL,
    origin TEXT NOT NULL,
    energy_wh BIGINT NOT NULL,
    PRIMARY KEY (height, result_index)
);
CREATE INDEX origin_certificates_by_producer ON origin_certificates (producer, period_start_ms);
CREATE INDEX origin_certificates_by_consumer ON origin_certificates (consumer, period_start_ms);
