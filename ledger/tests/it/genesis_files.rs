//! Genesis files: they read back as written, name what is wrong, and their hash names the chain.

use ledger::acts::Operators;
use ledger::genesis::{Genesis, GenesisError, GenesisFileError, read, write};
use market::clearing::sharing::{Ranking, Shares, SharingKey, SharingRule};
use market::clearing::{ClearingError, MechanismKind};
use market::energy::Energy;
use market::gate::GateSchedule;
use market::keys::PublicKey;
use market::member::{ENERGY_MAX_PER_PERIOD, PartyId};
use market::price::{Price, Tick};
use market::schedule::Schedule;
use market::tariff::{Days, Levy, LevyBase, Tariff, Window};
use market::time::{PeriodLength, Timestamp};
use market::zone::{Edge, ZoneId};
use proptest::prelude::*;

use crate::neighbourhood::{genesis, minute, operator_key, party, party_key, validators};

/// What is wrong with the file of the neighbourhood after replacing a text in it.
fn complaint(from: &str, to: &str) -> String {
    let text = write(&genesis()).unwrap();
    assert!(text.contains(from), "{from} stands in\n{text}");
    read(&text.replacen(from, to, 1)).unwrap_err().to_string()
}

#[test]
fn a_genesis_reads_back_as_written() {
    let genesis = genesis();
    let text = write(&genesis).unwrap();
    assert_eq!(read(&text), Ok(genesis.clone()));
    assert_eq!(read(&text).unwrap().chain_id(), genesis.chain_id());
    let commented = text.replace("[market]", "# what we agreed on\n[market]");
    assert_eq!(read(&commented).unwrap().chain_id(), genesis.chain_id(), "comments do not count");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_sound_genesis_reads_back_as_written(
        (k, tick) in (0..=1_000_000_u32, 1..1_000_000_u32),
        (low, span, feed_in, retail) in
            (-5_000_000..0_i64, 0..9_000_000_i64, -90_000..90_000_i64, 90_000..900_000_i64),
        (first, second) in (61..1_000_u64, 0..60_u64),
        half_hours in any::<bool>(),
        powers in prop::collection::vec(1..4_000_000_000_u64, 1..6),
        limit in 0..100_000_i64,
        name in "[A-Za-z0-9 \"'\\\\äöü陽]{1,30}",
    ) {
        let price = Price::from_micros_per_kwh;
        let mut genesis = genesis();
        genesis.name = name;
        genesis.validators = validators(&powers);
        let rules = &mut genesis.rules;
        rules.k_millionths = k;
        rules.tick = Tick::from_micros_per_kwh(tick).unwrap();
        (rules.price_min, rules.price_max) = (price(low), price(low + span));
        rules.tariffs = Schedule::always(Tariff::flat(price(retail), price(feed_in)).unwrap());
        rules.gates = GateSchedule::new(vec![first * 60_000, second * 60_000]).unwrap();
        rules.period_length =
            if half_hours { PeriodLength::Minutes30 } else { PeriodLength::Minutes15 };
        let limits = genesis.members.values_mut();
        limits.for_each(|member| member.export_max = Energy::from_wh(limit));
        prop_assert_eq!(genesis.check(), Ok(()));
        prop_assert_eq!(read(&write(&genesis).unwrap()), Ok(genesis));
    }
}

#[test]
fn whatever_is_changed_makes_another_chain() {
    let changes: [fn(&mut Genesis); 14] = [
        |g| g.name.push('!'),
        |g| g.currency = "JPY".to_owned(),
        |g| g.time_zone = "Asia/Tokyo".to_owned(),
        |g| g.starts_at = Timestamp::from_millis(1),
        |g| g.rules.k_millionths += 1,
        |g| g.rules.horizon_ms += 60_000,
        |g| g.rules.tariffs.change(minute(15), Tariff::flat(Price::ZERO, Price::ZERO).unwrap()),
        |g| g.rules.finality_delay_ms += 60_000,
        |g| g.heartbeat_ms += 1,
        |g| g.block_drift_max_ms += 1,
        |g| g.validators = validators(&[1, 1, 1, 2]),
        |g| g.operators = Operators::new(vec![party_key(0).public()], 1).unwrap(),
        |g| g.members.retain(|party, _| *party != crate::neighbourhood::party(3)),
        |g| g.members.get_mut(&party(0)).unwrap().zone = ZoneId(1),
    ];
    let mut chains = std::collections::BTreeSet::from([genesis().chain_id()]);
    for (number, change) in changes.into_iter().enumerate() {
        let mut changed = genesis();
        change(&mut changed);
        assert!(chains.insert(changed.chain_id()), "change {number}");
    }
}

#[test]
fn a_misspelt_missing_or_mistyped_key_is_named_with_its_line() {
    let unknown = complaint("retail =", "retial =");
    assert!(unknown.contains("line") && unknown.contains("retial"), "{unknown}");
    let missing = complaint("currency = \"EUR\"\n", "");
    assert!(missing.contains("currency"), "{missing}");
    let mistyped = complaint("horizon_minutes = 1440", "horizon_minutes = \"a day\"");
    assert!(mistyped.contains("line") && mistyped.contains("horizon_minutes"), "{mistyped}");
    let negative = complaint("settlement_delay_minutes = 60", "settlement_delay_minutes = -60");
    assert!(negative.contains("settlement_delay_minutes"), "{negative}");
    assert!(matches!(read("not toml"), Err(GenesisFileError::Toml(_))));
}

#[test]
fn a_value_that_does_not_fit_is_named_with_its_key_and_what_was_expected() {
    for (from, to, expected) in [
        ("kind = \"zonal-auction\"", "kind = \"lottery\"", "mechanisms[0].kind: expected \"zonal"),
        (
            "kind = \"zonal-auction\"",
            "kind = \"zonal-auction\"\nprice = \"1\"",
            "mechanisms[0].price: ",
        ),
        (
            "kind = \"zonal-auction\"",
            "from_ms = 1\nkind = \"zonal-auction\"",
            "mechanisms[0].from_ms",
        ),
        ("days = \"all\"", "days = \"mon,tus\"", "tariffs[0].windows[0].days: expected days such"),
        ("to = \"24:00\"", "to = \"24:01\"", "tariffs[0].windows[0].to: expected a time from"),
        ("to = \"24:00\"", "to = \"23:00\"", "tariffs[0]: no window covers Monday 23:00"),
        ("tax = \"0.000000\"", "tax = \"-1\"", "tariffs[0].tax: expected a number from 0"),
        ("period_minutes = 15", "period_minutes = 20", "market.period_minutes: expected 15 or 30"),
        ("gate_lead_minutes = [120, 15]", "gate_lead_minutes = [15, 120]", "market.gate_lead_min"),
        ("gate_lead_minutes = [120, 15]", "gate_lead_minutes = []", "market.gate_lead_minutes: "),
        ("k = \"0.500000\"", "k = \"half\"", "market.k: expected a decimal number"),
        ("k = \"0.500000\"", "k = \"-0.5\"", "market.k: expected a number from 0 to 1"),
        ("tick = \"0.000100\"", "tick = \"0\"", "market.tick: expected"),
        ("tick = \"0.000100\"", "tick = \"-1\"", "market.tick: expected"),
        ("retail = \"0.320000\"", "retail = \"0.3200001\"", "tariffs[0].windows[0].retail: exp"),
        ("horizon_minutes = 1440", "horizon_minutes = 9223372036854775807", "market.horizon_min"),
        ("operators = [\"", "operators = [\"zz", "operators[0]: expected 64 hexadecimal digits"),
    ] {
        let complaint = complaint(from, to);
        assert!(complaint.starts_with(expected), "{complaint}");
    }
    let (a, b) = (party(0).to_string(), party(1).to_string());
    assert!(complaint(&b, &a).starts_with("members[1].party: this party is named twice"));
    assert!(complaint(&a, "a0").starts_with("members[0].party: expected 32 hexadecimal"));
    let key = party_key(2).public().to_string();
    assert!(complaint(&key, &key[2..]).starts_with("members[2].key: expected 64 hexadecimal"));
    assert!(complaint("id = 1", "id = 0").starts_with("zones[1].id: this zone is named twice"));
    assert!(complaint("parent = 0", "parent = 7").starts_with("zones: "));
    assert!(complaint("parent = 0", "").starts_with("zones[1].charge: the root has no edge"));
    let keys = validators(&[1; 4]);
    let mut keys = keys.iter().map(|validator| validator.key.to_string());
    let (one, other) = (keys.next().unwrap(), keys.next().unwrap());
    assert!(complaint(&one, &other).starts_with("validators: validator"));
    assert!(complaint(&one, "00").starts_with("validators[0].key: expected 64 hexadecimal"));
}

/// What a genesis says of itself after a change.
fn problem(change: impl FnOnce(&mut Genesis)) -> GenesisError {
    let mut changed = genesis();
    change(&mut changed);
    assert!(write(&changed).is_err());
    changed.check().unwrap_err()
}

#[test]
fn values_that_do_not_found_a_community_together_are_refused() {
    let text = |problem, expected| matches!(problem, GenesisError::Text { field, .. } if field == expected);
    for name in ["", "line\nbreak", &"x".repeat(65)] {
        assert!(text(problem(|g| g.name = name.to_owned()), "name"), "{name:?}");
    }
    for code in ["", "eur", "EURO", "E R"] {
        assert!(text(problem(|g| g.currency = code.to_owned()), "currency"));
    }
    for zone in ["", "Berlin Mitte"] {
        assert!(text(problem(|g| g.time_zone = zone.to_owned()), "time_zone"));
    }
    let rules: [fn(&mut Genesis); 5] = [
        |g| g.rules.k_millionths = 1_000_001,
        |g| g.rules.price_min = Price::from_micros_per_kwh(5_000_001),
        |g| g.rules.price_max = Price::from_micros_per_kwh(1_000_000_000_001),
        |g| g.rules.finality_delay_ms = 3_599_999,
        |g| g.rules.horizon_ms = 7_200_000,
    ];
    for change in rules {
        assert!(matches!(problem(change), GenesisError::Rules(_)));
    }
    assert_eq!(problem(|g| g.heartbeat_ms = 0), GenesisError::Zero("heartbeat"));
    assert_eq!(problem(|g| g.block_drift_max_ms = 0), GenesisError::Zero("block_drift_max"));
    let weak = PublicKey::from_bytes([0; 32]);
    let operator = operator_key(0).public().to_string();
    let complaint = complaint(&operator, &weak.to_string());
    assert!(complaint.starts_with("operators: ") && complaint.contains("sound"), "{complaint}");
    let member = |g: &mut Genesis, change: fn(&mut market::member::Member)| {
        change(g.members.get_mut(&party(2)).expect("a member"));
    };
    let of_weak = problem(|g| member(g, |m| m.key = PublicKey::from_bytes([0; 32])));
    assert!(matches!(of_weak, GenesisError::Key { .. }));
    let nowhere = problem(|g| member(g, |m| m.zone = ZoneId(9)));
    assert_eq!(nowhere, GenesisError::UnknownZone { party: party(2), zone: ZoneId(9) });
    let point = genesis().members[&party(2)].metering_point;
    let shared = problem(|g| g.members.get_mut(&party(3)).unwrap().metering_point = point);
    assert_eq!(shared, GenesisError::SharedMeteringPoint(point));
    for wh in [-1, ENERGY_MAX_PER_PERIOD.wh() + 1, i64::MIN] {
        let limit = problem(|g| {
            g.members.get_mut(&party(2)).unwrap().export_max = Energy::from_wh(wh);
        });
        assert_eq!(limit, GenesisError::Limit { party: party(2) });
    }
}

#[test]
fn charges_and_capacities_are_for_the_zonal_auction_alone() {
    let text = write(&genesis()).unwrap();
    for (from, to) in [
        ("charge = \"0.000000\"", "charge = \"0.010000\""),
        ("charge = \"0.000000\"", "charge = \"0\"\ncapacity_up_wh = 5"),
        ("charge = \"0.000000\"", "charge = \"0\"\ncapacity_down_wh = 0"),
    ] {
        assert!(text.contains(from));
        let text = text.replacen(from, to, 1);
        assert!(read(&text).is_ok());
        for kind in ["pair-midpoints", "trade-reduction"] {
            let refused = read(&text.replacen("zonal-auction", kind, 1)).unwrap_err();
            let GenesisFileError::Genesis(GenesisError::Mechanism(refused)) = refused else {
                panic!("{refused}");
            };
            assert_eq!(refused, ClearingError::EdgeBinds { zone: ZoneId(1) });
        }
    }
    let edge = genesis().zones.zone(ZoneId(1)).unwrap().edge;
    assert!(matches!(edge, Some(Edge { parent: ZoneId(0), .. })));
}

/// Everything that a genesis file can say about mechanisms, gates and tariffs, in one file.
#[test]
fn mechanisms_gates_after_delivery_and_tariffs_read_back_as_written() {
    let mut genesis = genesis();
    let price = Price::from_micros_per_kwh;
    let rules = &mut genesis.rules;
    rules.gates = GateSchedule::with_ex_post(vec![], Some(600_000)).unwrap();
    let window = |days, from_minute, to_minute, retail| Window {
        days,
        from_minute,
        to_minute,
        retail: price(retail),
        feed_in: price(80_000),
    };
    let windows = vec![
        window(Days::WEEKDAYS, 0, 360, 240_000),
        window(Days::WEEKDAYS, 360, 1_440, 340_000),
        window(Days::from_bits(0b010_0000).unwrap(), 0, 1_440, 300_000),
        window(Days::from_bits(0b100_0000).unwrap(), 0, 1_440, 250_000),
    ];
    let levy = |name: &str, base| Levy { name: name.to_owned(), price: price(20_500), base };
    let levies = vec![levy("duty", LevyBase::Supplied), levy("再エネ賦課金", LevyBase::Imported)];
    let summer = Tariff::new(120, windows, levies, 190_000).unwrap();
    let winter = summer.with_offset(60).unwrap();
    rules.tariffs = Schedule::always(summer);
    rules.tariffs.change(minute(60 * 24 * 30), winter);
    let shares = Shares::new([(party(0), 250_000), (party(3), 500_000)].into()).unwrap();
    let keys = [
        SharingKey::Static(shares.clone()),
        SharingKey::ProRata,
        SharingKey::Priority(Ranking::new(vec![party(2), party(1)]).unwrap()),
        SharingKey::Hybrid(shares),
    ];
    for (month, key) in (1..).zip(keys) {
        let rule = SharingRule { price: price(200_000), key };
        rules.mechanism.change(minute(60 * 24 * 30 * month), MechanismKind::Sharing(rule));
    }
    rules.mechanism.change(minute(60 * 24 * 200), MechanismKind::PairMidpoints);
    rules.mechanism.change(minute(60 * 24 * 300), MechanismKind::TradeReduction);
    assert_eq!(genesis.check(), Ok(()));
    let text = write(&genesis).unwrap();
    assert_eq!(read(&text), Ok(genesis));
    for said in
        ["days = \"weekdays\"", "days = \"sat\"", "share = \"0.250000\"", "gate_lag_minutes = 10"]
    {
        assert!(text.contains(said), "{said}\n{text}");
    }
}

/// Each amount fits into 64 bits, but the sum of many would not: then one block could neither be
/// made nor refused, and the chain would stand still.
#[test]
fn a_community_that_could_turn_over_more_than_64_bits_hold_is_refused() {
    let mut genesis = genesis();
    let extreme = Price::from_micros_per_kwh(1_000_000_000_000);
    genesis.rules.price_max = extreme;
    assert_eq!(genesis.check(), Ok(()), "40 kWh at a million per kWh");
    let model = genesis.members[&party(0)].clone();
    for n in 0..100_u8 {
        let mut member = model.clone();
        member.metering_point = market::member::MeteringPointId::from_bytes([n + 128; 16]);
        member.import_max = ENERGY_MAX_PER_PERIOD;
        genesis.members.insert(PartyId::from_bytes([n; 16]), member);
    }
    let refused = genesis.check().unwrap_err();
    assert!(matches!(refused, GenesisError::Turnover { .. }), "{refused}");
    assert!(refused.to_string().contains("price_max"), "{refused}");
    genesis.rules.price_max = Price::from_micros_per_kwh(500_000);
    genesis.rules.price_min = Price::ZERO;
    assert_eq!(genesis.check(), Ok(()), "100 gigawatt-hours at half a unit");
}
