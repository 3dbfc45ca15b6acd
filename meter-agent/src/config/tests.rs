use super::file::DEFAULTS;
use super::*;
use crate::profile::{Parity, SerialLine};
use crate::strategy::{Concession, StrategyKind};

const SMALLEST: &str = r#"data_dir = "agent"
genesis = "/etc/hidamari/genesis.toml"
party = "00112233445566778899aabbccddeeff"
party_key = "party.key"
rated_power_w = 10000

[mesh]
transport_key = "transport.key"
bootstrap = ["/ip4/127.0.0.1/tcp/4001"]

[meter]
profile = "eastron-sdm630"
host = "127.0.0.1"
"#;

fn read(text: &str) -> Result<AgentConfig, ConfigError> {
    AgentConfig::from_toml(text, Path::new("/home/sun/agent.toml"))
}

fn refused(text: &str) -> TomlError {
    match read(text) {
        Err(ConfigError::Toml(error)) => error,
        other => panic!("expected an error in the file, but found {other:?}"),
    }
}

#[test]
fn the_smallest_file_gets_the_defaults() {
    let config = read(SMALLEST).unwrap();
    assert_eq!(config.data_dir, Path::new("/home/sun/agent"));
    assert_eq!(config.genesis, Path::new("/etc/hidamari/genesis.toml"));
    assert_eq!((config.meter.address, config.meter.unit), (Address::tcp("127.0.0.1", 502), 1));
    assert_eq!(config.meter.poll_interval, Duration::from_secs(1));
    assert_eq!(config.mesh.listen.len(), DEFAULTS.listen.len());
    assert_eq!(config.strategy, StrategySettings::default());
}

#[test]
fn every_key_of_the_example_is_read() {
    let text = format!(
        "metering_point = \"ffeeddccbbaa99887766554433221100\"\n{SMALLEST}port = 1502\n\
             unit = 7\n\
             poll_interval_ms = 250\n\n[strategy]\nkind = \"truthful\"\nsell_floor = \"0.10\"\n\
             buy_cap = \"0.30\"\npartners = [\"00112233445566778899aabbccddeeff\"]\n\
             offer_origin = \"battery\"\nbid_origin = \"solar\"\n"
    );
    let config = read(&text).unwrap();
    assert_eq!((config.meter.address, config.meter.unit), (Address::tcp("127.0.0.1", 1502), 7));
    assert_eq!(config.strategy.limits.sell_floor, "0.1".parse().ok());
    assert_eq!(config.strategy.partners, [config.party]);
    assert_eq!(config.strategy.offer_origin, Some(Origin::Battery));
    assert!(config.metering_point.is_some());
}

#[test]
fn a_mistake_is_named_with_file_line_and_key() {
    let cases = [
        ("rated_power_w = 10000", "rated_power_w = 0", 5, "rated_power_w", "above 0 W"),
        ("rated_power_w = 10000", "rated_power_w = \"x\"", 5, "rated_power_w", "u32"),
        ("party_key", "party_keys", 4, "party_keys", "unknown field"),
        ("00112233445566778899aabbccddeeff", "0011", 3, "party", "32 hexadecimal digits"),
        ("/ip4/127.0.0.1/tcp/4001", "127.0.0.1:4001", 9, "mesh.bootstrap", "/ip4/"),
        ("eastron-sdm630", "abacus", 12, "meter.profile", "eastron-sdm630"),
        ("host = \"127.0.0.1\"", "host = \"\"", 13, "meter.host", "name or address"),
    ];
    for (right, wrong, line, key, problem) in cases {
        let error = refused(&SMALLEST.replacen(right, wrong, 1));
        assert_eq!((error.line, error.key.as_str()), (line, key), "{error}");
        assert!(error.problem.contains(problem), "{error}");
        assert_eq!(error.file, Path::new("/home/sun/agent.toml"));
    }
    let error = refused(&SMALLEST.replace("data_dir = \"agent\"\n", ""));
    assert!(error.problem.contains("data_dir"), "{error}");
    let error = refused(&format!("{SMALLEST}unit = 0\n"));
    assert_eq!(error.key, "meter.unit");
    let error = refused(&format!("{SMALLEST}\n[strategy]\nsell_floor = \"cheap\"\n"));
    assert_eq!(error.key, "strategy.sell_floor");
}

#[test]
fn a_meter_on_a_serial_line_or_behind_a_gateway() {
    let host = "host = \"127.0.0.1\"";
    let with = |meter: &str| read(&SMALLEST.replace(host, meter)).map(|config| config.meter);
    let line = SerialLine { baud: 19_200, parity: Parity::Even, stop_bits: 2 };
    let serial = "serial_port = \"/dev/ttyUSB0\"\nbaud = 19200\nparity = \"even\"\nstop_bits = 2\n\
                  strip_echo = true\n";
    let path = PathBuf::from("/dev/ttyUSB0");
    assert_eq!(
        with(serial).unwrap().address,
        Address::Serial { path: path.clone(), line, strip_echo: true }
    );
    let usual = Address::Serial { path, line: SerialLine::default(), strip_echo: false };
    assert_eq!(with("serial_port = \"/dev/ttyUSB0\"\n").unwrap().address, usual);
    let gateway = format!("{host}\nport = 4196\ntransport = \"rtu_over_tcp\"\n");
    let address =
        Address::RtuOverTcp { host: "127.0.0.1".to_owned(), port: 4_196, strip_echo: false };
    assert_eq!(with(&gateway).unwrap().address, address);

    let key = |meter: &str| refused(&SMALLEST.replace(host, meter)).key;
    assert_eq!(key(""), "meter.host");
    assert_eq!(key(&format!("{host}\n{serial}")), "meter.serial_port");
    assert_eq!(key(&serial.replace("stop_bits = 2", "stop_bits = 3")), "meter.stop_bits");
    assert_eq!(key(&serial.replace("19200", "0")), "meter.baud");
    assert_eq!(key(&format!("{serial}transport = \"tcp\"\n")), "meter.transport");
}

#[test]
fn a_meter_mounted_backwards_or_switched_is_said_in_the_file() {
    let meter = |more: &str| read(&format!("{SMALLEST}{more}")).unwrap().meter.profile;
    assert_ne!(meter("reversed = true\n"), meter(""));
    assert_ne!(meter("word_order = \"low_first\"\n"), meter(""));
    assert_eq!(meter("word_order = \"high_first\"\n"), meter(""));
}

#[test]
fn a_strategy_is_named_and_its_prices_lead_somewhere() {
    let with = |table: &str| read(&format!("{SMALLEST}\n[strategy]\n{table}"));
    let kind = |table: &str| with(table).unwrap().strategy.kind;
    assert_eq!(kind("kind = \"adaptive\"\n"), StrategyKind::Adaptive);
    assert_eq!(kind("kind = \"concession\"\n"), StrategyKind::Concession(Concession::default()));
    let prices = Concession {
        sell_first: "0.3".parse().ok(),
        sell_last: "0.1".parse().ok(),
        buy_first: "0.1".parse().ok(),
        buy_last: "0.3".parse().ok(),
    };
    let all = "kind = \"concession\"\nsell_first = \"0.30\"\nsell_last = \"0.10\"\n\
               buy_first = \"0.10\"\nbuy_last = \"0.30\"\n";
    assert_eq!(kind(all), StrategyKind::Concession(prices));

    let mistakes = [
        ("kind = \"greedy\"\n", 16, "kind", "`truthful`, `concession`, `adaptive`"),
        ("sell_first = \"0.3\"\n", 16, "sell_first", "kind = \"concession\""),
        (
            &all.replace("sell_last = \"0.10\"", "sell_last = \"0.31\""),
            18,
            "sell_last",
            "sell_first",
        ),
        (&all.replace("buy_last = \"0.30\"", "buy_last = \"0.09\""), 20, "buy_last", "buy_first"),
        (&format!("{all}sell_floor = \"0.2\"\n"), 18, "sell_last", "sell_floor"),
        (&format!("{all}buy_cap = \"0.2\"\n"), 20, "buy_last", "buy_cap"),
    ];
    for (table, line, key, problem) in mistakes {
        let error = refused(&format!("{SMALLEST}\n[strategy]\n{table}"));
        assert_eq!((error.line, error.key), (line, format!("strategy.{key}")), "{table}");
        assert!(error.problem.contains(problem), "{}", error.problem);
    }
}

#[test]
fn a_household_may_say_where_it_is_and_name_a_weather_file() {
    let with = |place: &str| {
        let file =
            SMALLEST.replacen("\n[mesh]", &format!("weather_file = \"w.csv\"\n{place}\n[mesh]"), 1);
        read(&file)
    };
    let config = with("[place]\nlatitude_deg = 35.68\nlongitude_deg = 139.77\n").unwrap();
    assert_eq!(config.place, Some(Place { latitude_deg: 35.68, longitude_deg: 139.77 }));
    assert_eq!(config.weather_file.as_deref(), Some(Path::new("/home/sun/w.csv")));
    assert_eq!(read(SMALLEST).unwrap().place, None);
    let wrong = with("[place]\nlatitude_deg = 135.68\nlongitude_deg = 39.77\n");
    let Err(ConfigError::Toml(error)) = wrong else { panic!("a place beyond the pole") };
    assert_eq!((error.line, error.key.as_str()), (8, "place.latitude_deg"));
    assert!(error.problem.contains("-90 to 90"), "{error}");
}
