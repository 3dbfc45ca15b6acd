-- Whether an order traded at several prices, of which its answer states the average. Answers are made
-- anew from the blocks, so those that stand here already get theirs.
ALTER TABLE answers ADD COLUMN averaged BIGINT NOT NULL DEFAULT 0;
